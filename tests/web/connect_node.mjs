// @connectrpc/connect-node with code from @bufbuild/protoc-gen-es: JSON and binary, GET, gzip, and the errors.
import assert from "node:assert/strict";
import http from "node:http";
import test, { after } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport } from "@connectrpc/connect-node";
import { HealthService } from "./gen/health/v1/health_pb.js";
import { DispatchService } from "./gen/panic/v1/dispatch_service_pb.js";
import { PanicService } from "./gen/panic/v1/panic_service_pb.js";
import { PanicStatus } from "./gen/panic/v1/panic_pb.js";

// A proxy in between tells which HTTP methods the client really used, and which codings both sides.
const methods = [];
const codings = { sent: [], received: [] };
const proxy = http.createServer((request, response) => {
  methods.push(request.method);
  const { searchParams } = new URL(request.url, "http://panicd");
  codings.sent.push(request.headers["content-encoding"] ?? searchParams.get("compression") ?? "identity");
  const onward = http.request(`${process.env.PANICD_URL}${request.url}`, { method: request.method, headers: request.headers }, (answer) => {
    codings.received.push(answer.headers["content-encoding"] ?? "identity");
    response.writeHead(answer.statusCode, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.destroy());
  request.pipe(onward);
});
await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
after(() => proxy.close());
const baseUrl = `http://127.0.0.1:${proxy.address().port}`;
const gzip = { sendCompression: compressionGzip, acceptCompression: [compressionGzip], compressMinBytes: 0 };
const variants = [
  { name: "json", options: { useBinaryFormat: false } },
  { name: "binary", options: { useBinaryFormat: true } },
  { name: "json with GET", options: { useBinaryFormat: false, useHttpGet: true } },
  { name: "binary with GET", options: { useBinaryFormat: true, useHttpGet: true } },
  { name: "json in gzip", options: { useBinaryFormat: false, ...gzip } },
  { name: "binary in gzip", options: { useBinaryFormat: true, ...gzip } },
  { name: "json in gzip with GET", options: { useBinaryFormat: false, useHttpGet: true, ...gzip } },
  { name: "binary in gzip with GET", options: { useBinaryFormat: true, useHttpGet: true, ...gzip } },
];

async function expectCode(promise, code, text) {
  const error = await promise.then(
    () => assert.fail("the call succeeded"),
    (reason) => ConnectError.from(reason),
  );
  assert.equal(Code[error.code], Code[code], error.message);
  assert.match(error.rawMessage, text);
  return error;
}

for (const { name, options } of variants) {
  const transport = createConnectTransport({ baseUrl, httpVersion: "1.1", ...options });
  const panics = createClient(PanicService, transport);

  test(`${name}: a panic is created and read`, async () => {
    const metadata = { triggerSource: "mobile-app", tags: ["a", 1, null, { deep: true }] };
    const created = await panics.createPanic({ location: { lat: -33.9, lng: 18.4 }, metadata });
    assert.equal(created.panic.durable, true);
    assert.equal(created.panic.status, PanicStatus.PROCESSING);
    assert.equal(created.panic.version, 1n);
    assert.deepEqual(created.panic.metadata, metadata);
    const read = await panics.getPanic({ id: created.panic.id });
    assert.equal(read.panic.id, created.panic.id);
    assert.equal(read.panic.location.lat, -33.9);
    assert.equal(methods.at(-1), options.useHttpGet ? "GET" : "POST");
  });

  test(`${name}: gzip on both ways`, async () => {
    const metadata = { note: "n".repeat(3000) };
    const { panic } = await panics.createPanic({ metadata });
    const read = await panics.getPanic({ id: panic.id });
    assert.deepEqual(read.panic.metadata, metadata);
    assert.equal(codings.sent.at(-1), options.sendCompression !== undefined ? "gzip" : "identity");
    // It does not ask for gzip when it calls with GET.
    assert.equal(codings.received.at(-1), options.useHttpGet ? "identity" : "gzip");
  });

  test(`${name}: a repeat is told as one`, async () => {
    const created = await panics.createPanic({ subjectId: "s" });
    const again = await panics.createPanic({ id: created.panic.id, subjectId: "s" });
    assert.equal(again.replayed, true);
    await expectCode(panics.createPanic({ id: created.panic.id }), Code.AlreadyExists, /other content/);
  });

  test(`${name}: warnings come through`, async () => {
    const created = await panics.createPanic({ location: { lat: 91, lng: 0 } });
    assert.match(created.warnings[0], /location/);
  });

  test(`${name}: errors have their codes`, async () => {
    await expectCode(panics.getPanic({ id: "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff" }), Code.NotFound, /^Panic not found$/);
    await expectCode(panics.getPanic({ id: "7" }), Code.InvalidArgument, /^id: not a UUID/);
    await expectCode(panics.createPanic({ location: { lat: 91 }, strict: true }), Code.InvalidArgument, /location/);
    const { panic } = await panics.createPanic({});
    await panics.resolvePanic({ id: panic.id, outcome: "one" });
    await expectCode(panics.resolvePanic({ id: panic.id, outcome: "two" }), Code.FailedPrecondition, /closed before/);
  });

  test(`${name}: a wrong field is told in the details`, async () => {
    const error = await panics.createPanic({ location: { lat: 91 }, strict: true }).catch((thrown) => thrown);
    const [detail] = error.details;
    assert.equal(detail.type, "google.rpc.BadRequest");
    assert.match(Buffer.from(detail.value).toString("latin1"), /^\n.\n\x08location\x12.lat 91/);
    assert.deepEqual((await panics.getPanic({ id: "018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff" }).catch((e) => e)).details, []);
  });

  test(`${name}: a timeout that has passed`, async () => {
    await expectCode(panics.listPanics({}, { headers: { "Connect-Timeout-Ms": "0" } }), Code.DeadlineExceeded, /./);
  });

  test(`${name}: too much is refused`, async () => {
    const direct = createConnectTransport({ baseUrl: process.env.PANICD_URL, httpVersion: "1.1", ...options });
    await expectCode(createClient(PanicService, direct).createPanic({ metadata: { a: "x".repeat(70000) } }), Code.ResourceExhausted, /longer/);
  });

  test(`${name}: the other services`, async () => {
    const dispatch = createClient(DispatchService, transport);
    await dispatch.putResponder({ responder: { id: "unit-7", location: { lat: 1, lng: 2 } } });
    const { responders } = await dispatch.listResponders({});
    assert.equal(responders.length, 1);
    const health = await createClient(HealthService, transport).check({});
    assert.equal(health.status, 1);
  });

  test(`${name}: many at once, each with its own answer`, async () => {
    const created = await Promise.all(
      Array.from({ length: 200 }, (_, i) => panics.createPanic({ subjectId: `subject-${i}` })),
    );
    created.forEach((answer, i) => assert.equal(answer.panic.subjectId, `subject-${i}`));
  });
}

test("an unknown method is unimplemented", async () => {
  const transport = createConnectTransport({ baseUrl, httpVersion: "1.1" });
  const service = { ...PanicService, typeName: "panic.v1.Nothing" };
  const method = { ...PanicService.method.getPanic, parent: service };
  await expectCode(transport.unary(method, undefined, undefined, undefined, {}), Code.Unimplemented, /no such method/);
});
