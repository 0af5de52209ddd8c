// Owns the bytes of a configuration file as a command handles them.
import { createHash } from "node:crypto";

/** SHA-256 of what a file holds, hexadecimal; no file is an empty one. */
export function sha256Of(bytes: Uint8Array | null): string {
  return createHash("sha256")
    .update(bytes ?? new Uint8Array())
    .digest("hex");
}

/** The text of bytes, a byte order mark and all; what is no text becomes U+FFFD. */
export function decodedText(bytes: Uint8Array | null): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes ?? new Uint8Array());
}
