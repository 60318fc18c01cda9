// @connectrpc/connect-web in a headless Chromium, from a page of another origin: one that is allowed and one that is not.
import assert from "node:assert/strict";
import http from "node:http";
import { readFileSync } from "node:fs";
import test, { after, before } from "node:test";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const panicd = process.env.PANICD_URL;
const allowedPort = Number(new URL(process.env.PANICD_ORIGIN).port);
const variants = [{ useBinaryFormat: false }, { useBinaryFormat: true }, { useBinaryFormat: false, useHttpGet: true }];
let browser;
let servers;

async function serve(port) {
  const files = { "/": readFileSync("connect_web.html"), "/bundle.js": readFileSync("bundle.js") };
  const server = http.createServer((request, response) => {
    response.setHeader("Content-Type", request.url === "/" ? "text/html" : "text/javascript");
    response.end(files[request.url] ?? "");
  });
  await new Promise((resolve) => server.listen(port, resolve));
  return server;
}

async function pageOf(server) {
  const page = await browser.newPage();
  await page.goto(`http://localhost:${server.address().port}/`);
  return page;
}

before(async () => {
  await build({ entryPoints: ["page.mjs"], bundle: true, outfile: "bundle.js", logLevel: "error" });
  servers = { allowed: await serve(allowedPort), other: await serve(0) };
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
});

after(async () => {
  await browser?.close();
  servers?.allowed.close();
  servers?.other.close();
});

for (const options of variants) {
  test(`an allowed origin creates and reads: ${JSON.stringify(options)}`, async () => {
    const page = await pageOf(servers.allowed);
    const result = await page.evaluate(([url, o]) => window.createAndRead(url, o), [panicd, options]);
    assert.equal(result.read, result.created);
    assert.equal(result.durable, true);
    assert.equal(await page.evaluate(([url, o]) => window.failToRead(url, o), [panicd, options]), "NotFound");
  });

  test(`another origin is refused: ${JSON.stringify(options)}`, async () => {
    const page = await pageOf(servers.other);
    await assert.rejects(
      page.evaluate(([url, o]) => window.createAndRead(url, o), [panicd, options]),
      /Failed to fetch/,
    );
  });
}

// No preflight is asked for such a request; what refuses it is the server.
test("a page of another origin cannot press the button behind the user's back", async () => {
  const list = async () => (await (await fetch(`${panicd}/panic.v1.PanicService/ListPanics`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: "{}",
  })).json()).panics?.length ?? 0;
  const before = await list();
  const page = await pageOf(servers.other);
  await page.evaluate((url) => fetch(`${url}/panic`, { method: "POST", mode: "no-cors", body: new Blob(["{}"]) }), panicd);
  assert.equal(await list(), before);
});
