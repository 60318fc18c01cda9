// What a running panicd answers, against its own /openapi.yaml. The schemas of answers are open, for newer servers; here
// they are closed, so that a member that the document does not have is found too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { parse } from "yaml";

const url = process.env.PANICD_URL;
const UNKNOWN_ID = "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff";
const SERVICE = "/panic.v1.PanicService";
const JSON_TYPE = { "Content-Type": "application/json" };

// What does not end fails the test, rather than holding it up.
const ask = (target, options = {}) => fetch(url + target, { signal: AbortSignal.timeout(30000), ...options });

const page = await ask("/openapi.yaml");
assert.equal(page.headers.get("Content-Type"), "application/yaml");
const document = parse(await page.text());

function close(schema) {
  if (schema === null || typeof schema !== "object") {
    return;
  }
  if (schema.type === "object" && schema.properties !== undefined && schema.additionalProperties === undefined) {
    schema.additionalProperties = false;
  }
  Object.values(schema).forEach(close);
}
close(document);
const ajv = new Ajv({ strict: false, allErrors: true });
addFormats(ajv);
ajv.addSchema(document, "document");

// An object of the document and where it stands, behind its $ref if it is one.
function at(pointer) {
  const found = pointer.slice(1).split("/").reduce((object, name) => {
    assert.ok(object !== undefined, `the document has no ${pointer}`);
    return object[name.replaceAll("~1", "/").replaceAll("~0", "~")];
  }, document);
  assert.ok(found !== undefined, `the document has no ${pointer}`);
  return found.$ref !== undefined && !pointer.endsWith("/schema") ? at(found.$ref.slice(1)) : { pointer, found };
}

const escaped = (name) => name.replaceAll("~", "~0").replaceAll("/", "~1");

function errorsOf(pointer, value) {
  const validate = ajv.compile({ $ref: `document#${pointer}` });
  return validate(value) ? [] : validate.errors.map((error) => `${error.instancePath} ${error.message}`);
}

// The first event of a stream, as lines of names and values. The rest of the stream is not waited for.
async function firstEvent(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!/^id:[^]*^data:[^]*\n\n/m.test(text)) {
    const { value, done } = await reader.read();
    assert.ok(!done, `the stream ended without an event: ${text}`);
    text += value;
  }
  await reader.cancel();
  const block = text.split("\n\n").find((lines) => lines.includes("data: "));
  return Object.fromEntries(block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)]));
}

async function expectEvent(answer) {
  const event = await firstEvent(answer);
  const data = JSON.parse(event.data);
  assert.deepEqual(errorsOf("/components/schemas/panic.v1.PanicEvent", data), [], event.data);
  assert.equal(event.id, data.sequence);
  assert.equal(event.event, data.type);
}

// The answer must be one that the document has for this operation.
async function expectDocumented(path, method, answer) {
  const response = at(`/paths/${escaped(path)}/${method.toLowerCase()}/responses/${answer.status}`);
  const type = answer.headers.get("Content-Type");
  const { pointer } = at(`${response.pointer}/content/${escaped(type.split(";")[0])}`);
  if (type.startsWith("text/event-stream")) {
    return await expectEvent(answer);
  }
  const text = await answer.text();
  const value = type.includes("json") ? JSON.parse(text) : text;
  assert.deepEqual(errorsOf(`${pointer}/schema`, value), [], `${method} ${path}: ${text}`);
  for (const [name, header] of Object.entries(response.found.headers ?? {})) {
    const sent = answer.headers.get(name);
    if (sent !== null) {
      const schema = header.$ref !== undefined ? `${header.$ref.slice(1)}/schema` : `${response.pointer}/headers/${name}/schema`;
      assert.deepEqual(errorsOf(schema, sent), [], `${name}: ${sent}`);
    }
  }
  return value;
}

async function call(path, method, status, { target = path, body, headers } = {}) {
  const answer = await ask(target, { method, headers: body === undefined ? headers : { ...JSON_TYPE, ...headers }, body });
  assert.equal(answer.status, status, `${method} ${target}`);
  return await expectDocumented(path, method, answer);
}

const create = (body = "{}") => call("/panic", "POST", 202, { body });
const read = (id, status, headers) => call("/panic/{id}", "GET", status, { target: `/panic/${id}`, headers });
const connect = (method, status, message, headers) =>
  call(`${SERVICE}/${method}`, "POST", status, { body: JSON.stringify(message), headers });

test("the example of the document is a request that is taken", async () => {
  const { pointer, found } = at("/paths/~1panic/post/requestBody/content/application~1json");
  assert.deepEqual(errorsOf(`${pointer}/schema`, found.example), []);
  const created = await create(JSON.stringify(found.example));
  assert.deepEqual(created.location, found.example.location);
});

test("a schema refuses what is no answer", async () => {
  const { pointer } = at("/paths/~1panic/post/responses/202/content/application~1json");
  const created = await create();
  assert.notDeepEqual(errorsOf(`${pointer}/schema`, { ...created, timestamp: "now" }), []);
  assert.notDeepEqual(errorsOf(`${pointer}/schema`, { ...created, id: "7" }), []);
  assert.notDeepEqual(errorsOf(`${pointer}/schema`, { ...created, somethingElse: 1 }), []);
  assert.notDeepEqual(errorsOf(`${pointer}/schema`, { id: created.id }), []);
});

test("a panic with a warning and without a place", async () => {
  const created = await create('{"location":{"lat":91,"lng":0}}');
  assert.equal(created.location, null);
  assert.equal(created.warnings.length, 1);
});

test("a panic on its way from processing to resolved", async () => {
  const { id } = await create('{"metadata":{"triggerSource":"mobile-app"}}');
  await read(id, 200);
  // The oldest is served first: one for each panic of this test and those before it.
  const { panics } = await connect("ListPanics", 200, { pageSize: 100 });
  for (const [index] of panics.entries()) {
    await call("/panic.v1.DispatchService/PutResponder", "POST", 200, { body: `{"responder":{"id":"unit-${index}"}}` });
  }
  const end = Date.now() + 30000;
  let panic;
  do {
    assert.ok(Date.now() < end, "the panic did not become active");
    panic = await read(id, 200);
  } while (panic.status !== "active");
  assert.match(panic.metadata.responder, /^unit-/);
  assert.ok(panic.metadata.dispatchedAt >= panic.timestamp);
  await connect("ResolvePanic", 200, { id, outcome: "found" });
  assert.equal((await read(id, 200)).status, "resolved");
});

test("errors in a few plain fields", async () => {
  assert.equal((await read(UNKNOWN_ID, 404)).code, "not_found");
  await call("/panic", "POST", 400, { body: '{"nothing":1}' });
  await call("/panic", "POST", 415, { body: "{}", headers: { "Content-Type": "text/plain" } });
  const { id } = await create();
  await call("/panic", "POST", 409, { body: `{"id":"${id}","subjectId":"another"}` });
});

test("errors as problems of RFC 9457", async () => {
  const problem = await read(UNKNOWN_ID, 404, { Accept: "application/problem+json" });
  assert.equal(problem.status, 404);
});

test("Connect calls in JSON", async () => {
  const { panic } = await connect("CreatePanic", 200, { location: { lat: -33.9, lng: 18.4 }, metadata: { a: [1, null] } });
  const got = await connect("GetPanic", 200, { id: panic.id });
  assert.equal(got.panic.id, panic.id);
  const query = new URLSearchParams({ encoding: "json", message: JSON.stringify({ id: panic.id }) });
  await call(`${SERVICE}/GetPanic`, "GET", 200, { target: `${SERVICE}/GetPanic?${query}` });
  await connect("ListPanics", 200, {});
});

test("Connect errors", async () => {
  assert.equal((await connect("GetPanic", 404, { id: UNKNOWN_ID })).code, "not_found");
  await connect("GetPanic", 400, { id: "7" });
  await connect("GetPanic", 400, {}, { "Connect-Protocol-Version": "2" });
  await connect("GetPanic", 415, {}, { "Content-Type": "text/plain" });
  await connect("GetPanic", 501, {}, { "Content-Encoding": "br" });
  await connect("ListPanics", 504, {}, { "Connect-Timeout-Ms": "0" });
});

test("a page of another origin", async () => {
  const headers = { Origin: "https://elsewhere.example" };
  await call("/health", "GET", 403, { headers });
  await call("/panic", "POST", 403, { headers, body: "{}" });
});

for (const path of Object.keys(document.paths)) {
  test(`what the document says of ${path} is served, and nothing else`, async () => {
    const target = path.replace("{id}", (await create()).id);
    const isConnect = path.includes(".v1.");
    const isStream = document.paths[path].get?.responses[200].content?.["text/event-stream"] !== undefined;
    for (const method of ["GET", "POST"]) {
      const isDocumented = document.paths[path][method.toLowerCase()] !== undefined;
      const query = method !== "GET" ? "" : isConnect ? "?encoding=json&message=%7B%7D" : isStream ? "?after=0" : "";
      const answer = await ask(target + query, method === "GET" ? {} : { method, headers: JSON_TYPE, body: "{}" });
      if (isDocumented) {
        assert.ok(![404, 405].includes(answer.status), `${method} ${target}: ${answer.status}`);
        await expectDocumented(path, method, answer);
      } else {
        assert.equal(answer.status, 405, `${method} ${target}`);
        assert.ok(!answer.headers.get("Allow").split(", ").includes(method));
      }
    }
    const hasHead = document.paths[path].get !== undefined && !isConnect && !isStream;
    assert.equal((await ask(target, { method: "HEAD" })).status, hasHead ? 200 : 405, `HEAD ${target}`);
  });
}

test("every route of the table is in the document", () => {
  const source = readFileSync(`${process.env.PROTO}/../src/shim/routes.c`, "utf8");
  const table = [...source.matchAll(/\.path = "([^"]+)"(?:,\s*\.suffix = "([^"]+)")?/g)];
  const routes = table.map(([, path, suffix = ""]) => (path.endsWith("/") ? `${path}{id}${suffix}` : path));
  for (const known of ["/panic/{id}", "/panic/{id}/events", "/health"]) {
    assert.ok(routes.includes(known), "the table of routes.c is written in another way");
  }
  assert.deepEqual(routes.filter((path) => document.paths[path] === undefined), []);
});

test("every method of the server is in the document", async () => {
  const metrics = await (await ask("/metrics")).text();
  const methods = [...metrics.matchAll(/^panicd_request_duration_seconds_count\{method="([^"]+)"\}/gm)].map(([, path]) => path);
  assert.ok(methods.includes(`${SERVICE}/CreatePanic`), "the metrics page names the methods in another way");
  assert.deepEqual(methods.filter((path) => document.paths[path]?.post === undefined), []);
});
