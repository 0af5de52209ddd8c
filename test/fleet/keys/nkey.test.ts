import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { nkeys } from "@nats-io/transport-node";
import {
  isSignedBy,
  publicBytes,
  publicBytesOf,
  rawOfSeed,
  signText,
  userKey,
  userSeed,
} from "../../../src/fleet/keys/nkey.ts";

test("G1 keys are written as the library of NATS writes them, and back", () => {
  for (let count = 0; count < 50; count++) {
    const raw = randomBytes(32);
    const seed = userSeed(raw);
    const theirs = nkeys.fromSeed(new TextEncoder().encode(seed));
    assert.equal(theirs.getPublicKey(), userKey(raw));
    assert.deepEqual(rawOfSeed(seed), raw);
    assert.deepEqual(publicBytesOf(userKey(raw)), publicBytes(raw));
  }
});

test("a signature of one is one for the other", () => {
  const raw = randomBytes(32);
  const signature = signText(raw, "a text");
  const theirs = nkeys.fromPublic(userKey(raw));
  assert.equal(theirs.verify(Buffer.from("a text"), Buffer.from(signature, "base64url")), true);
  assert.equal(isSignedBy(publicBytes(raw), "a text", signature), true);
  assert.equal(isSignedBy(publicBytes(raw), "another text", signature), false);
  assert.equal(isSignedBy(publicBytes(randomBytes(32)), "a text", signature), false);
});

test("what is no key of a user is none: another kind, a changed letter, a shorter one", () => {
  const raw = randomBytes(32);
  const key = userKey(raw);
  const changed = `${key.slice(0, 20)}${key[20] === "A" ? "B" : "A"}${key.slice(21)}`;
  for (const text of ["", "U", changed, key.slice(0, -1), `${key}A`, key.toLowerCase(), userSeed(raw)]) {
    assert.equal(publicBytesOf(text), null, text);
  }
  for (const text of ["", "SU", key, userSeed(raw).slice(0, -1), `SA${userSeed(raw).slice(2)}`]) {
    assert.equal(rawOfSeed(text), null, text);
  }
});
