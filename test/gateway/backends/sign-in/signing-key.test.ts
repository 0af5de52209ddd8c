import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { test } from "node:test";
import { machineAuth } from "../../../../src/gateway/backends/sign-in/client.ts";
import { loadOAuth } from "../../../../src/gateway/backends/sign-in/oauth-library.ts";
import { resolvedAuth } from "./sign-in-rig.ts";

const pem = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();
const der = (key: KeyObject): string => key.export({ format: "der", type: "pkcs8" }).toString("base64");

async function authBy(privateKey: string): Promise<unknown> {
  const auth = resolvedAuth({ type: "client-credentials", clientId: "machine", privateKey });
  return machineAuth(await loadOAuth(), { issuer: "https://login.example" }, auth);
}

test("E1 a gateway signs in with a key that can sign, in lines or in one word", async () => {
  const keys = [
    generateKeyPairSync("ec", { namedCurve: "P-384" }),
    generateKeyPairSync("ed25519"),
    generateKeyPairSync("rsa", { modulusLength: 2_048 }),
  ];
  for (const { privateKey } of keys) {
    for (const text of [pem(privateKey), pem(privateKey).replaceAll("\n", "\\n"), der(privateKey)])
      assert.equal(typeof (await authBy(text)), "function");
  }
});

test("E1 a key that cannot sign here, or is none, is refused without a word of it", async () => {
  const other = [
    generateKeyPairSync("x25519"),
    generateKeyPairSync("ed448"),
    generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
  ];
  for (const { privateKey } of other)
    await assert.rejects(
      authBy(pem(privateKey)),
      /^MountaineerError: `private_key` is of a kind that cannot sign/,
    );
  for (const text of ["hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----"])
    await assert.rejects(authBy(text), (error: Error) => {
      assert.match(error.message, /`private_key` cannot be read/);
      assert.doesNotMatch(String(error.stack), /hunter2/);
      return true;
    });
});
