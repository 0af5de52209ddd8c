// The gateway's events, spelled as in logs and event streams.
export type GatewayTransition =
  /** A backend's program has started. Possible secrets are `(hidden)`; references stay as written. */
  | {
      readonly name: "backend.started";
      readonly backend: string;
      readonly pid: number;
      readonly command: string;
      readonly args: readonly string[];
      /** The configuration's environment variables as `NAME=VALUE`. */
      readonly env: readonly string[];
      readonly cwd: string;
      readonly sandboxed: boolean;
    }
  | {
      readonly name: "backend.phase";
      readonly backend: string;
      readonly from: string;
      readonly to: string;
      readonly reason: string | null;
      readonly took_ms: number;
    }
  | {
      readonly name: "backend.ready";
      readonly backend: string;
      readonly tools: number;
      readonly resources: number;
      readonly prompts: number;
      readonly took_ms: number;
    }
  | {
      readonly name: "backend.ended";
      readonly backend: string;
      readonly reason: string;
      /** Until the next try; null: none is due. */
      readonly retry_in_ms: number | null;
    }
  /** The new instance serves; the old one finishes its calls. */
  | { readonly name: "backend.replaced"; readonly backend: string; readonly draining: number }
  /** The configuration's new instance does not come up; the old one serves on. */
  | { readonly name: "backend.change_failed"; readonly backend: string; readonly reason: string }
  /** The backend changed its route: the one in use failed, a better one is back, or a person or an edit chose it. */
  | {
      readonly name: "backend.failover" | "backend.recovered" | "backend.switched";
      readonly backend: string;
      readonly from: string;
      readonly to: string;
      readonly reason: string;
    }
  /** A better route is ready but not used yet; or this state is over. */
  | {
      readonly name: "backend.route_ready" | "backend.route_ready_cleared";
      readonly backend: string;
      readonly route: string;
      readonly reason: string;
    }
  | {
      readonly name: "backend.drained";
      readonly backend: string;
      readonly took_ms: number;
      /** Number of calls that `drain_timeout` ended. */
      readonly cut: number;
    }
  | {
      readonly name: "catalog.changed";
      readonly tools: number;
      readonly resources: number;
      readonly prompts: number;
      /** Names of new, removed and changed entries (schema, text or backend); at most 20 of each. */
      readonly added: readonly string[];
      readonly removed: readonly string[];
      readonly changed: readonly string[];
    }
  | {
      readonly name: "catalog.collision";
      readonly kind: string;
      readonly entry: string;
      readonly kept: string;
      readonly hidden: string;
      /** Number of further collisions; only in the last event if there are many. */
      readonly more?: number;
    }
  /** A backend's entries were seen for the first time, and pinned. */
  | { readonly name: "catalog.tools_pinned"; readonly backend: string; readonly count: number }
  | {
      /** An entry differs from the approved one, or is new. In the last event of many, `more` is the number of further ones. */
      readonly name: "catalog.tool_changed" | "catalog.tool_new";
      readonly backend: string;
      /** `tool`, `prompt`, `resource`, `template`, `skill` or `instructions`. */
      readonly kind: string;
      /** The server's own name. */
      readonly tool: string;
      /** The changed members: `description`, `inputSchema`, …; empty for a new entry. */
      readonly members: readonly string[];
      /** A few lines of the old and the new text. */
      readonly diff: readonly string[];
      /** No client gets the entry until it is approved. */
      readonly withheld: boolean;
      readonly more: number;
    }
  | {
      readonly name: "catalog.tools_added" | "catalog.tools_gone" | "catalog.tools_approved";
      readonly backend: string;
      readonly count: number;
      /** At most 20 names; entries other than tools with their kind, as `prompt NAME`. */
      readonly tools: readonly string[];
    }
  | { readonly name: "gateway.listening"; readonly url: string }
  | { readonly name: "gateway.listen_failed"; readonly address: string; readonly reason: string }
  | { readonly name: "gateway.stopped_listening"; readonly url: string };
