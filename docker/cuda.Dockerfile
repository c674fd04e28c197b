# The server on an NVIDIA GPU: docker build -f docker/cuda.Dockerfile -t uslm:cuda .
# PyTorch's wheels bring CUDA; of the machine it needs the driver and the NVIDIA container toolkit.

FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/uslm
ENV PATH=/opt/uslm/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY constraints.txt .
RUN pip install --constraint constraints.txt torch
COPY . .
RUN pip install --constraint constraints.txt ".[serve,watermark]"

FROM python:3.12-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin uslm \
    && install --directory --owner=uslm --group=uslm --mode=700 /voices
COPY --from=build /opt/uslm /opt/uslm
ENV PATH=/opt/uslm/bin:$PATH \
    USLM_VOICES=/voices \
    HF_HUB_OFFLINE=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
VOLUME /voices
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# It listens for others, so it does not start without a token: USLM_API_KEY, or --token-file.
ENTRYPOINT ["uslm", "serve", "--host", "0.0.0.0", "--port", "8000", "--device", "cuda"]
