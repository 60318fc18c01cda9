// The eventsource package, which is EventSource of the browsers for node: what its users rely on without writing a line for
// it, that is coming back behind the last event, and staying away when there is nothing more to come.
import assert from "node:assert/strict";
import http from "node:http";
import test, { after } from "node:test";
import { EventSource } from "eventsource";

const url = process.env.PANICD_URL;
const JSON_TYPE = { "Content-Type": "application/json" };

// A proxy that ends its first two connections in the middle of an event, behind three whole ones.
const CUTS = 2;
const WHOLE = 3;
const requests = [];
const proxy = http.createServer((request, response) => {
  const isCut = requests.push(request.headers["last-event-id"]) <= CUTS;
  const onward = http.request(`${url}${request.url}`, { headers: request.headers }, (answer) => {
    response.writeHead(answer.statusCode, { "Content-Type": answer.headers["content-type"] });
    let text = "";
    answer.on("data", (piece) => {
      text += piece;
      const parts = text.split(/(?<=\ndata: .*\n\n)/);
      if (!isCut) {
        response.write(piece);
      } else if (parts.length > WHOLE) {
        answer.destroy();
        response.write(`${parts.slice(0, WHOLE).join("")}id: 999999\nevent: crea`, () => response.destroy());
      }
    });
    answer.on("end", () => response.end());
    answer.on("error", () => response.destroy());
  });
  onward.on("error", () => response.destroy());
  response.on("close", () => onward.destroy());
  onward.end();
});
await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
after(() => proxy.close());
const proxied = `http://127.0.0.1:${proxy.address().port}`;

async function post(path, body) {
  const answer = await fetch(`${url}${path}`, { method: "POST", headers: JSON_TYPE, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

// Every change of the feed, in the order in which the source tells them, until `done` says so.
function collect(source, done) {
  const events = [];
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`only ${JSON.stringify(events)}`)), 30000);
    for (const type of ["created", "assigned", "no_responder", "review", "resolved"]) {
      source.addEventListener(type, (event) => {
        const data = JSON.parse(event.data);
        assert.equal(data.type, type);
        assert.equal(data.sequence, event.lastEventId);
        events.push(data);
        if (done(events)) {
          clearTimeout(timer);
          resolve(events);
        }
      });
    }
  });
}

test("a panic's life is told, and then the client stays away by itself", async () => {
  const { id } = await post("/panic", {});
  const source = new EventSource(`${url}/panic/${id}/events`);
  const closed = new Promise((resolve) => {
    source.addEventListener("error", (event) => source.readyState === EventSource.CLOSED && resolve(event.code));
  });
  const life = collect(source, (events) => events.at(-1).type === "resolved");
  await post("/panic.v1.PanicService/ResolvePanic", { id });
  const events = await life;
  assert.deepEqual(events.map((event) => event.version), events.map((_, i) => String(i + 1)));
  assert.equal(await closed, 204);
});

test("a client that is cut off again and again sees every change once", async () => {
  const created = [];
  for (let i = 0; i < 7; i++) {
    created.push((await post("/panic", {})).id);
  }
  const source = new EventSource(`${proxied}/events?after=0`);
  const seen = await collect(source, (events) => created.every((id) => events.some((event) => event.panicId === id)));
  source.close();
  assert.deepEqual(requests, [undefined, seen[WHOLE - 1].sequence, seen[2 * WHOLE - 1].sequence]);
  const sequences = seen.map((event) => Number(event.sequence));
  assert.deepEqual(sequences, [...new Set(sequences)].sort((a, b) => a - b));
  assert.deepEqual(seen.filter((event) => event.type === "created" && created.includes(event.panicId)).map((event) => event.panicId), created);
});

test("an unknown panic is an error that the client does not repeat", async () => {
  const source = new EventSource(`${url}/panic/018f4e2a-7c3b-7d10-9a55-3b1f0e6c2dff/events`);
  const event = await new Promise((resolve) => source.addEventListener("error", resolve));
  assert.equal(event.code, 404);
  assert.equal(source.readyState, EventSource.CLOSED);
});
