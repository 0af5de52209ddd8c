// The gateway's events, spelled as in logs and event streams.
export type GatewayTransition =
  /**
   * A backend's program has started. The event shows possible secrets as `(hidden)`, and references as they are
   * written in the file.
   */
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
      /** Time until the next attempt; null: no further attempt is scheduled. */
      readonly retry_in_ms: number | null;
    }
  /** A new instance has taken over from the old one, which still finishes its calls. */
  | { readonly name: "backend.replaced"; readonly backend: string; readonly draining: number }
  /** The instance for a changed configuration failed to start; the old instance continues to serve. */
  | { readonly name: "backend.change_failed"; readonly backend: string; readonly reason: string }
  /** The backend changed its route: the one in use failed, a better one is back, or a person or an edit chose it. */
  | {
      readonly name: "backend.failover" | "backend.recovered" | "backend.switched";
      readonly backend: string;
      readonly from: string;
      readonly to: string;
      readonly reason: string;
    }
  /**
   * `route_ready`: a better route is available and waits to be used. `route_ready_cleared`: it no longer
   * waits.
   */
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
      /**
       * Names of new, removed and changed entries; at most 20 of each. An entry counts as changed if its schema, text
       * or backend has changed.
       */
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
      /** Number of collisions beyond those announced; only in the last event, if there are many. */
      readonly more?: number;
    }
  /** A backend's entries were seen for the first time, and pinned. */
  | { readonly name: "catalog.tools_pinned"; readonly backend: string; readonly count: number }
  | {
      /**
       * An entry differs from the approved one, or is new. If there are too many to announce each, the last event has
       * the number of the unannounced ones in `more`.
       */
      readonly name: "catalog.tool_changed" | "catalog.tool_new";
      readonly backend: string;
      /** `tool`, `prompt`, `resource`, `template` or `instructions`. */
      readonly kind: string;
      /** The name that the server gives to the entry. */
      readonly tool: string;
      /** The changed members: `description`, `inputSchema`, …; empty for a new entry. */
      readonly members: readonly string[];
      /** A few lines that show what differs between the old and the new text. */
      readonly diff: readonly string[];
      /** No client gets the entry until it is approved. */
      readonly withheld: boolean;
      readonly more: number;
    }
  | {
      readonly name: "catalog.tools_added" | "catalog.tools_gone" | "catalog.tools_approved";
      readonly backend: string;
      readonly count: number;
      /** At most 20 names. An entry that is not a tool is named with its kind: `prompt NAME`. */
      readonly tools: readonly string[];
    }
  /** A call waits for the owner's answer, or got one. Without its arguments, which only the owner may see. */
  | {
      readonly name: "question.asked" | "question.answered";
      readonly tool: string;
      readonly backend: string;
      readonly by: string;
    }
  | { readonly name: "gateway.listening"; readonly url: string }
  | { readonly name: "gateway.listen_failed"; readonly address: string; readonly reason: string }
  | { readonly name: "gateway.stopped_listening"; readonly url: string };
