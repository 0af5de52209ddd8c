// Keys of NATS as text: Ed25519 in base32, with a letter for the kind of key first and a checksum last.
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { textThat } from "../../runtime/shape.ts";

const SEED = 0x90;
const USER = 0xa0;
const RAW_BYTES = 32;
const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The seed `SU…` of 32 private bytes. */
export function userSeed(raw: Uint8Array): string {
  return checked(Buffer.concat([Buffer.from([SEED | (USER >> 5), (USER & 31) << 3]), raw]));
}

/** The 32 private bytes of a seed `SU…`; null: the text is no such seed. */
export function rawOfSeed(seed: string): Buffer | null {
  const bytes = seed.startsWith("SU") ? unchecked(seed) : null;
  return bytes === null || bytes.length !== RAW_BYTES + 2 ? null : bytes.subarray(2);
}

/** The public key `U…` of 32 private bytes. */
export function userKey(raw: Uint8Array): string {
  return publicKeyText(publicBytes(raw));
}

/** The public key `U…` of 32 public bytes. */
function publicKeyText(bytes: Uint8Array): string {
  return checked(Buffer.concat([Buffer.from([USER]), bytes]));
}

/** The 32 public bytes of `U…`; null: the text is no such key. */
export function publicBytesOf(key: string): Buffer | null {
  const bytes = key.startsWith("U") ? unchecked(key) : null;
  return bytes === null || bytes.length !== RAW_BYTES + 1 ? null : bytes.subarray(1);
}

export function publicBytes(raw: Uint8Array): Buffer {
  return createPublicKey(privateKey(raw)).export({ format: "der", type: "spki" }).subarray(-RAW_BYTES);
}

export function signText(raw: Uint8Array, text: string): string {
  return sign(null, Buffer.from(text), privateKey(raw)).toString("base64url");
}

export function isSignedBy(publicKey: Uint8Array, text: string, signature: string): boolean {
  const key = createPublicKey({ key: Buffer.concat([SPKI_HEAD, publicKey]), format: "der", type: "spki" });
  return verify(null, Buffer.from(text), key, Buffer.from(signature, "base64url"));
}

/** As `isSignedBy`, for a public key `U…`; false if `key` is not such a key. */
export function isSignedByUser(key: string, text: string, signature: string): boolean {
  const publicKey = publicBytesOf(key);
  return publicKey !== null && isSignedBy(publicKey, text, signature);
}

/**
 * The text that a signature covers: its purpose, then each part as JSON on a separate line. JSON has no line breaks.
 */
export function signedLines(purpose: string, ...parts: readonly (string | number)[]): string {
  return [purpose, ...parts.map((part) => JSON.stringify(part))].join("\n");
}

export const userKeyShape = textThat("a key U…", (key) => publicBytesOf(key) !== null);

/** The SHA-256: 32 bytes. */
export function fingerprintOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function privateKey(raw: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, raw]), format: "der", type: "pkcs8" });
}

function checked(bytes: Buffer): string {
  const sum = crc16(bytes);
  return base32(Buffer.concat([bytes, Buffer.from([sum & 0xff, sum >> 8])]));
}

function unchecked(text: string): Buffer | null {
  const bytes = fromBase32(text);
  if (bytes.length < 3) return null;
  const body = bytes.subarray(0, -2);
  return bytes.readUInt16LE(body.length) === crc16(body) && base32(bytes) === text ? body : null;
}

/** CRC-16/XMODEM. */
function crc16(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) {
    sum ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) sum = ((sum & 0x8000) === 0 ? sum << 1 : (sum << 1) ^ 0x1021) & 0xffff;
  }
  return sum;
}

function base32(bytes: Uint8Array): string {
  let text = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = ((buffer << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(buffer >> (bits - 5)) & 31];
  }
  return bits === 0 ? text : text + ALPHABET[(buffer << (5 - bits)) & 31];
}

/**
 * Does not check the letters: a wrong letter gives wrong bytes, which `unchecked` detects by encoding them
 * again.
 */
function fromBase32(text: string): Buffer {
  const bytes: number[] = [];
  let buffer = 0;
  let bits = 0;
  for (const letter of text) {
    buffer = ((buffer << 5) | ALPHABET.indexOf(letter)) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes.push((buffer >> bits) & 0xff);
    }
  }
  return Buffer.from(bytes);
}
