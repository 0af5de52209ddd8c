import assert from "node:assert/strict";
import { test } from "node:test";
import { OWNER } from "../../src/gateway/client-port.ts";
import { isError } from "../../src/gateway/json-rpc.ts";
import { ownerCall } from "../../src/gateway/owner-call.ts";

test("a call without a session is the owner's own, and a server that asks back gets an error", async () => {
  const call = ownerCall();
  assert.equal(call.client.principal, OWNER);
  assert.equal(call.client.ended.aborted, false);
  const { signal } = new AbortController();
  const reply = await call.request("sampling/createMessage", {}, signal);
  assert.ok(reply !== null && isError(reply));
  assert.ok(isError(await call.client.request("roots/list", {}, signal)));
  assert.notEqual(ownerCall().client, call.client);
});
