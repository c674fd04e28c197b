// The buttons of the segments. `element` and `trigger` are Gradio's, which looks for the names of
// the events: 'listen', 'redo'.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (button) trigger(button.dataset.action, { index: Number(button.dataset.index) });
});
