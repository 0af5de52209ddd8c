// What a backend works on, and whether that is there.
import type { ServedBackend } from "../../../config/snapshot.ts";
import {
  BACKEND_UNAVAILABLE,
  errorReply,
  isError,
  isJsonObject,
  REQUEST_TIMEOUT,
  type Reply,
} from "../../json-rpc.ts";

/** Whether all that a backend requires is there. */
export type RequiredData =
  /** `mounts` names what is mounted: with another name, programs that were started before work on what is gone. */
  | { readonly kind: "there"; readonly mounts: string }
  /** It is about to be mounted anew, or that is under way: programs make room, and calls wait. */
  | {
      readonly kind: "moving";
      readonly requirement: string;
      /** Since when nobody can work on it, monotonic ms; null: until they have made room it is there. */
      readonly sinceMs: number | null;
    }
  | {
      readonly kind: "away";
      /** As configured: `CORE`, or `CORE:/dev`. */
      readonly requirement: string;
      /** Why, for people: `it is not mounted`. */
      readonly reason: string;
      /** Monotonic ms. */
      readonly sinceMs: number;
    };

/** How something that is required is mounted, best first. */
export const STANDINGS = ["tb", "fallback", "none"] as const;
export type Standing = (typeof STANDINGS)[number];

/** It is not there. */
export type Absence = Exclude<RequiredData, { kind: "there" }>;

/** Whoever knows of shares. */
export interface DataSource {
  /** Of several that are away the first. Never throws. */
  look(requires: ServedBackend["requires"]): RequiredData;
  /** How the worst of them is mounted now, as far as it is known; absent: nobody tells. Never throws. */
  standing?(requires: ServedBackend["requires"]): Standing;
  /** Called after each change of what `look` answers. */
  onChange(listener: () => void): void;
  /** Resolves when all of these were looked at afresh, or soon. Never rejects. */
  lookNow?(requires: ServedBackend["requires"]): Promise<void>;
  /** A call cannot be served without them. Never throws. */
  want?(requires: ServedBackend["requires"]): void;
  /** Called once, with what gives all that runs. Returns what is to be called after each change of it. */
  watchPrograms?(running: () => readonly DataPrograms[]): () => void;
}

/** What runs for one backend. */
export interface DataPrograms {
  readonly requires: ServedBackend["requires"];
  /** Leaders of process groups, those that end included. */
  readonly pids: readonly number[];
}

/** What the configuration says of it; null: nothing is required. */
export type Needs = {
  readonly data: RequiredData;
  readonly unavailableAfterMs: number;
  readonly whenUnavailable: ServedBackend["whenUnavailable"];
} | null;

/** `share CORE is away: it is not mounted`. */
export function awayText(data: Absence): string {
  const share = `share ${data.requirement}`;
  return data.kind === "moving" ? `${share} is being mounted anew` : `${share} is away: ${data.reason}`;
}

/** Nothing is to be started on it now. */
export function isMissing({ needs }: { readonly needs: Needs }): boolean {
  return needs !== null && needs.data.kind !== "there";
}

/** What is away; null: nothing is required, or all of it is there. */
export function awayOf({ needs }: { readonly needs: Needs }): Extract<RequiredData, { kind: "away" }> | null {
  return needs?.data.kind === "away" ? needs.data : null;
}

// Adds to an answer that tells of a failure what the server behind it cannot know: that its data is away. Pure.

/** Errors of a file system whose server is gone; of a tool's long answer they stand at the beginning. */
const CUT_OFF = /\b(EIO|ESTALE|ETIMEDOUT|EHOSTDOWN|EHOSTUNREACH|ENOTCONN)\b|input\/output error/i;
const BEGINNING = 2_000;

/** A tool failed by an error that may be the first sign of data that is away. */
export function looksCutOff(reply: Reply): boolean {
  if (isError(reply) || reply.result["isError"] !== true) return false;
  const { content } = reply.result;
  if (!Array.isArray(content)) return false;
  return content.some((part: unknown) => {
    const text = isJsonObject(part) ? part["text"] : null;
    return typeof text === "string" && CUT_OFF.test(text.slice(0, BEGINNING));
  });
}

/** `meanwhile`: it is back. What tells of no failure, or names the share already, stays as it is. */
export function withAbsence(reply: Reply, data: Absence, when: "now" | "meanwhile"): Reply {
  const text = when === "now" ? awayText(data) : `meanwhile ${awayText(data).replace(" is ", " was ")}`;
  if (isError(reply)) {
    const { code, message } = reply.error;
    const isOurs = code === REQUEST_TIMEOUT || code === BACKEND_UNAVAILABLE;
    const isNamed = message.includes(`share ${data.requirement} `);
    return isOurs && !isNamed ? errorReply(code, `${message}; ${text}`) : reply;
  }
  const { result } = reply;
  if (!isJsonObject(result) || result["isError"] !== true || !Array.isArray(result["content"])) return reply;
  return { ...reply, result: { ...result, content: [...result["content"], { type: "text", text }] } };
}
