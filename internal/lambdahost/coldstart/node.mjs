// A runtime for Node functions, as small as one can be: what it costs beside the function itself is Node's own start.
import http from "node:http";

const base = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation/`;
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const request = (method, path, body) =>
  new Promise((resolve, reject) => {
    const r = http.request(base + path, { method, agent }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve({ id: response.headers["lambda-runtime-aws-request-id"], body: Buffer.concat(parts).toString() }));
    });
    r.on("error", reject);
    r.end(body);
  });
const { handler } = await import(process.argv[2]);
for (;;) {
  const { id, body } = await request("GET", "next");
  try {
    await request("POST", `${id}/response`, JSON.stringify(await handler(JSON.parse(body), {})));
  } catch (error) {
    await request("POST", `${id}/error`, JSON.stringify({ errorMessage: error.message, errorType: error.name }));
  }
}
