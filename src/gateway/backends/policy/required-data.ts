// What a backend works on, and whether that is there.
import type { BackendConfig } from "../../../config/snapshot.ts";

/** Whether all that a backend requires is there. */
export type RequiredData =
  /** `mounts` names what is mounted: with another name, programs that were started before work on what is gone. */
  | { readonly kind: "there"; readonly mounts: string }
  | {
      readonly kind: "away";
      /** As configured: `CORE`, or `CORE:/dev`. */
      readonly requirement: string;
      /** Why, for people: `it is not mounted`. */
      readonly reason: string;
      /** Monotonic ms. */
      readonly sinceMs: number;
    };

/** Whoever knows of shares. */
export interface DataSource {
  /** Of several that are away the first. Never throws. */
  look(requires: BackendConfig["requires"]): RequiredData;
  /** Called after each change of what `look` answers. */
  onChange(listener: () => void): void;
}

/** What the configuration says of it; null: nothing is required. */
export type Needs = {
  readonly data: RequiredData;
  readonly unavailableAfterMs: number;
  readonly whenUnavailable: BackendConfig["whenUnavailable"];
} | null;

/** `share CORE is away: it is not mounted`. */
export function awayText({ requirement, reason }: Extract<RequiredData, { kind: "away" }>): string {
  return `share ${requirement} is away: ${reason}`;
}

/** What is away; null: nothing is required, or all of it is there. */
export function awayOf({ needs }: { readonly needs: Needs }): Extract<RequiredData, { kind: "away" }> | null {
  return needs?.data.kind === "away" ? needs.data : null;
}
