// Owns the identity of a content: the SHA-256 of its bytes.
import { createHash } from "node:crypto";

/** Hexadecimal. */
export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
