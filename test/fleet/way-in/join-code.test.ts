import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import {
  isAddress,
  joinKeys,
  readJoinCode,
  splitAddress,
  writeJoinCode,
} from "../../../src/fleet/way-in/join-code.ts";
import { MountaineerError } from "../../../src/runtime/errors.ts";

function someCode(address = "nas.local:4222") {
  const [secret, authority, operator] = [randomBytes(16), randomBytes(32), randomBytes(32)];
  return { address, authority, operator, secret, expiresAtMs: 1_795_000_000_000 };
}

test("G1 a code says where the server is, how to know it, whose word counts, and until when", () => {
  for (const address of ["nas.local:4222", "192.0.2.7:1", "[2001:db8::1]:65535"]) {
    const code = someCode(address);
    assert.deepEqual(readJoinCode(` ${writeJoinCode(code)}\n`), code);
  }
});

test("a code is one word that no shell takes apart, and no option", () => {
  assert.match(writeJoinCode(someCode()), /^mf1_[A-Za-z0-9_-]+$/);
});

test("a code that lacks a letter, or has another one, is none; what was typed is not repeated", () => {
  const text = writeJoinCode(someCode());
  const wrong = [
    "",
    "mf1_",
    text.slice(4),
    text.slice(0, -1),
    `${text}A`,
    `${text.slice(0, 30)}${text[30] === "A" ? "B" : "A"}${text.slice(31)}`,
    `${text} ${text}`,
    writeJoinCode(someCode("no address")),
    "x".repeat(5_000),
  ];
  for (const one of wrong) {
    assert.throws(
      () => readJoinCode(one),
      (error) =>
        error instanceof MountaineerError &&
        error.code === "usage" &&
        (one.length < 10 || !error.message.includes(one.slice(4, 20))),
    );
  }
});

test("what is made of the secret differs by use, and is the same on both sides", () => {
  const secret = randomBytes(16);
  const keys = joinKeys(secret);
  assert.deepEqual(joinKeys(Buffer.from(secret)), keys);
  assert.equal(keys.login.equals(keys.proof), false);
  assert.match(keys.id, /^[0-9a-f]{16}$/);
});

test("addresses", () => {
  for (const good of ["a:1", "nas.local:4222", "10.0.0.1:4222", "[::1]:4222"])
    assert.equal(isAddress(good), true);
  for (const bad of [
    "",
    "nas",
    "nas:0",
    "nas:70000",
    "a b:1",
    "::1:4222",
    "-x:1",
    'a":1',
    "a\n:1",
    "u@h:1",
  ]) {
    assert.equal(isAddress(bad), false, bad);
  }
  assert.deepEqual(splitAddress("[::1]:4222"), { host: "::1", port: 4222 });
});
