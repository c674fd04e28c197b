// The form of the server's page: asks for voices and speech, plays what comes, shows the command.
"use strict";

const byId = (id) => document.getElementById(id);
const [form, text, voice, token, player] = ["form", "text", "voice", "token", "player"].map(byId);
let asked = null; // what can be aborted

function headers() {
  const common = { "Content-Type": "application/json" };
  return token.value ? { ...common, Authorization: `Bearer ${token.value}` } : common;
}

function say(message) {
  byId("status").textContent = message;
}

function body() {
  return { model: "default", voice: voice.value, input: text.value, response_format: "wav" };
}

function showCommand() {
  const quoted = JSON.stringify(body()).replaceAll("'", "'\\''");
  const secret = byId("token-field").hidden ? "" : ' -H "Authorization: Bearer $USLM_API_KEY"';
  const url = new URL("v1/audio/speech", location.href);
  byId("command").textContent =
    `curl ${url} -H "Content-Type: application/json"${secret} -d '${quoted}' --output speech.wav`;
}

async function problem(answer) {
  try {
    return (await answer.json()).error.message;
  } catch {
    return `the server answered ${answer.status}`;
  }
}

async function loadVoices() {
  const answer = await fetch("v1/audio/voices", { headers: headers() });
  if (answer.status === 401) {
    byId("token-field").hidden = false;
    say("This server wants its token.");
    showCommand();
    return;
  }
  if (!answer.ok) throw new Error(await problem(answer));
  const chosen = voice.value;
  const names = (await answer.json()).voices.map((each) => each.id);
  voice.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  say("");
  showCommand();
}

async function speak() {
  asked = new AbortController();
  byId("speak").disabled = true;
  byId("stop").disabled = false;
  say("Speaking …");
  try {
    const answer = await fetch("v1/audio/speech", {
      method: "POST",
      headers: headers(),
      body: JSON.stringify(body()),
      signal: asked.signal,
    });
    if (!answer.ok) throw new Error(await problem(answer));
    const sound = await answer.blob();
    URL.revokeObjectURL(player.src);
    player.src = URL.createObjectURL(sound);
    player.hidden = false;
    say(`Seed ${answer.headers.get("X-Uslm-Seed")}.`);
    await player.play().catch(() => {}); // a browser may want another click for it
  } catch (error) {
    say(error.name === "AbortError" ? "Stopped." : `It did not work: ${error.message}`);
  } finally {
    byId("speak").disabled = false;
    byId("stop").disabled = true;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  speak();
});
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});
form.addEventListener("input", showCommand);
token.addEventListener("change", () => loadVoices().catch((error) => say(error.message)));
byId("stop").addEventListener("click", () => {
  player.pause();
  if (asked) asked.abort();
});
loadVoices().catch((error) => say(error.message));
