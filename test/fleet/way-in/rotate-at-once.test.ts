import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { userKey } from "../../../src/fleet/keys/nkey.ts";
import { authorityFingerprint } from "../../../src/fleet/layer/authority.ts";
import { inboxOf } from "../../../src/fleet/subjects.ts";
import { certificatePaths, readFleet } from "../../../src/fleet/way-in/fleet-folder.ts";
import { keptAuthority, keptSeed } from "../../../src/fleet/way-in/membership.ts";
import { madeAuthority } from "../../../src/fleet/way-in/renew-certificate.ts";
import { rotateKey } from "../../../src/fleet/way-in/rotate-key.ts";
import { openLink } from "../../../src/fleet/way-in/server-link.ts";
import { found, LACKS_SERVER, machines } from "./homes.ts";

test("G1 keys that are exchanged twice at once leave one that opens", { skip: LACKS_SERVER }, async (t) => {
  const [nas] = await machines(t, 1);
  assert.ok(nas !== undefined);
  const { address, name, secret } = await found(nas);
  const rotate = () => rotateKey({ ...nas, onKept: async () => {} });
  await Promise.all([rotate(), rotate(), rotate()]);
  const seed = await keptSeed(nas, secret);
  assert.ok(seed !== null);
  const record = await readFleet(nas.home);
  assert.deepEqual(record?.members, [{ name, key: userKey(seed) }]);
  const authority = (await keptAuthority(nas.home)) ?? "";
  const link = await openLink({ address, authority, seed, inbox: inboxOf(name) }, nas.signal);
  assert.ok(link !== null);
  await link[Symbol.asyncDispose]();

  // Of authorities, too: what the members were told of first is what stands there.
  const made = await Promise.all([madeAuthority(nas, nas.signal), madeAuthority(nas, nas.signal)]);
  const pem = await readFile(certificatePaths(nas.home, 2).authority, "utf8");
  const there = authorityFingerprint(new X509Certificate(pem));
  assert.deepEqual(
    made.map(({ fingerprint }) => fingerprint),
    [there, there],
  );
  assert.deepEqual(made.map((one) => one.made).toSorted(), [false, true]);
});
