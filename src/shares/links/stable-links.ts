// The interface of the links that people use.
import type { LinkBlocked } from "../policy/share-seen.ts";
import type { ShareSpec } from "../share-spec.ts";

export interface StableLinks {
  /** Ensures the stable link to `target`; resolves with what blocks it; null: it was right a moment ago. */
  readonly ensure: (spec: ShareSpec, target: string) => Promise<LinkBlocked | null> | null;
  /** The same, but always looks. */
  readonly ensureNow: (spec: ShareSpec, target: string) => Promise<LinkBlocked | null>;
  /** Changes nothing; resolves with what is wrong. `mountedAt` is null if the share is not mounted. */
  readonly look: (spec: ShareSpec, mountedAt: string | null) => Promise<LinkBlocked | null>;
}
