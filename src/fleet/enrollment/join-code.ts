// The code with which one machine joins a fleet: the server's address, the fingerprint of its authority, and a
// secret that is valid once.
import { hkdfSync } from "node:crypto";
import { MountaineerError } from "../../runtime/errors.ts";
import { fingerprintOf } from "../keys/nkey.ts";

const MARK = "mf1_";
const SECRET_BYTES = 16;
const FINGERPRINT_BYTES = 32;
const SUM_BYTES = 4;
const FIXED_BYTES = SECRET_BYTES + FINGERPRINT_BYTES + 4;
const LONGEST_ADDRESS = 260;

export interface JoinCode {
  /** HOST:PORT. */
  readonly address: string;
  /** SHA-256 of the certificate authority, 32 bytes. */
  readonly authority: Buffer;
  readonly secret: Buffer;
  /** By the wall clock of the machine that made the code, ms; whole seconds. */
  readonly expiresAtMs: number;
}

export function writeJoinCode({ address, authority, secret, expiresAtMs }: JoinCode): string {
  const expiry = Buffer.alloc(4);
  expiry.writeUInt32BE(Math.floor(expiresAtMs / 1000));
  const body = Buffer.concat([secret, authority, expiry, Buffer.from(address, "latin1")]);
  return MARK + Buffer.concat([body, sumOf(body)]).toString("base64url");
}

/** Throws `usage` for an invalid code, with a message that does not contain the text. */
export function readJoinCode(text: string): JoinCode {
  const typed = text.trim();
  if (!typed.startsWith(MARK) || !/^[\w-]+$/.test(typed)) throw noCode();
  const bytes = Buffer.from(typed.slice(MARK.length), "base64url");
  // The last letter has unused bits, so different texts may decode to the same bytes.
  if (bytes.toString("base64url") !== typed.slice(MARK.length)) throw noCode();
  const body = bytes.subarray(0, -SUM_BYTES);
  if (!bytes.subarray(-SUM_BYTES).equals(sumOf(body))) throw noCode();
  const take = (from: number, length: number): Buffer => body.subarray(from, from + length);
  const address = body.subarray(FIXED_BYTES).toString("latin1");
  if (address.length > LONGEST_ADDRESS || !isAddress(address)) throw noCode();
  return {
    address,
    authority: take(SECRET_BYTES, FINGERPRINT_BYTES),
    secret: take(0, SECRET_BYTES),
    expiresAtMs: body.readUInt32BE(FIXED_BYTES - 4) * 1000,
  };
}

/**
 * The keys that both sides derive from the secret; none of them reveals another. `id`: the id of the invitation; `login`:
 * 32 private bytes, with which the machine that joins signs in; `proof` authenticates the request and its answer.
 */
export function joinKeys(secret: Uint8Array) {
  const derive = (use: string, length: number): Buffer =>
    Buffer.from(hkdfSync("sha256", secret, "mountaineer fleet join", use, length));
  return { id: derive("id", 8).toString("hex"), login: derive("login", 32), proof: derive("proof", 32) };
}

/** HOST:PORT, an IPv6 address in brackets. */
export function isAddress(text: string): boolean {
  const found = /^(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?):(\d{1,5})$/.exec(text);
  const port = Number(found?.[1] ?? 0);
  return port >= 1 && port <= 65_535;
}

export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(address.slice(colon + 1)) };
}

function sumOf(bytes: Uint8Array): Buffer {
  return fingerprintOf(bytes).subarray(0, SUM_BYTES);
}

function noCode(): MountaineerError {
  return new MountaineerError("usage", "this is not a fleet's code, or not all of it", {
    hint: "copy everything that `mountaineer fleet invite` printed",
  });
}
