// SHA-256 digests.
import { createHash } from "node:crypto";

/** 64 hexadecimal digits. Text is encoded as UTF-8, and null (no file) counts as empty. */
export function sha256Of(content: Uint8Array | string | null): string {
  return createHash("sha256")
    .update(content ?? "")
    .digest("hex");
}
