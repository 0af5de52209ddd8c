// Tokens that were checked already, by their digest, until they expire: the second request with one costs a hash.
import { hash } from "node:crypto";
import { dropOldest } from "../../runtime/bounded-map.ts";
import type { Authentication } from "../middleware/middleware.ts";

/** More principals than that at once make the oldest be checked again. */
const MOST_TOKENS = 4_096;

interface Remembered {
  readonly answer: Authentication;
  readonly expiresAtMs: number;
}

export class TokenMemory {
  readonly #byDigest = new Map<string, Remembered>();

  get size(): number {
    return this.#byDigest.size;
  }

  /** Null: not known, or expired by now. */
  find(digest: string, wallMs: number): Authentication | null {
    const found = this.#byDigest.get(digest);
    if (found === undefined) return null;
    this.#byDigest.delete(digest);
    if (found.expiresAtMs <= wallMs) return null;
    this.#byDigest.set(digest, found);
    return found.answer;
  }

  remember(digest: string, answer: Authentication, expiresAtMs: number): void {
    this.#byDigest.delete(digest);
    this.#byDigest.set(digest, { answer, expiresAtMs });
    dropOldest(this.#byDigest, MOST_TOKENS);
  }

  clear(): void {
    this.#byDigest.clear();
  }
}

export function tokenDigest(token: string): string {
  return hash("sha256", token, "base64url");
}
