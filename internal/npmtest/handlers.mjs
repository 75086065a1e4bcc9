// Runs the Lambda handlers of amazon-cognito-passwordless-auth on events that come as JSON lines on stdin, and answers with a line each:
// {"module","events":[…]} → {"answers":[{"event":…} | {"error":"…"}]}. Of the event that a trigger returns, only its response is told: the
// rest is what it was given. The handlers read their configuration from the environment.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// What the handlers log would mix with the answers.
console.log = console.info = console.trace = console.error;

const [folder] = process.argv.slice(2);
const load = (module) => import(pathToFileURL(`${folder}/${module}.cjs`).href);

async function answer({ handler }, event) {
  try {
    const { response, ...rest } = await handler(event, {}, () => {});
    return { event: response ? { response } : rest };
  } catch (err) {
    return { error: err.message };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { module, events } = JSON.parse(line);
  const loaded = await load(module);
  const answers = [];
  for (const event of events) answers.push(await answer(loaded, event));
  process.stdout.write(JSON.stringify({ answers }) + "\n");
}
