import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import type { DoctorContext } from "../../src/doctor/context.ts";
import { examineGateway } from "../../src/doctor/gateway.ts";
import { accepted } from "../config/support.ts";

async function ofPort(host: string, port: number) {
  const snapshot = await accepted(
    `[server]\nhost = "${host}"\nport = ${port}\n[incoming_auth]\ntype = "local"\ntoken = "secret:t"\n[backends.web]\nurl = "https://example.org/mcp"\n`,
  );
  const { signal } = new AbortController();
  // What else an examination may look at is not looked at.
  const context = { snapshot, daemon: null, signal, values: {}, environment: {} } as unknown as DoctorContext;
  return (await examineGateway(context)).find(({ text }) => text.includes(String(port)));
}

test("E5 an address of another machine is told as that, and not as a port for root", async () => {
  const found = await ofPort("192.0.2.1", 8_765);
  assert.match(found?.text ?? "", /cannot listen at 192\.0\.2\.1:8765: EADDRNOTAVAIL/);
  assert.match(found?.hint ?? "", /it is an address of this machine/);
});

test("E5 a port is free, or taken by a program that is named", async (t) => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  const taken = await ofPort("127.0.0.1", address.port);
  assert.match(taken?.text ?? "", /listens at 127\.0\.0\.1:\d+ already/);
});
