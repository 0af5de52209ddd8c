// What the gateway announces, in wire spelling: it is logged and streamed as it is.
export type GatewayTransition =
  /** A program runs. Never with a secret: what may be one is `(hidden)`, and a reference is as it is written. */
  | {
      readonly name: "backend.started";
      readonly backend: string;
      readonly pid: number;
      readonly command: string;
      readonly args: readonly string[];
      /** `NAME=VALUE` of what the configuration adds. */
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
  /** Another of its routes serves: the one in use failed, a better one is back, or a person or an edit said so. */
  | {
      readonly name: "backend.failover" | "backend.recovered" | "backend.switched";
      readonly backend: string;
      readonly from: string;
      readonly to: string;
      readonly reason: string;
    }
  /** A better route is ready, and going back to it waits; or that is over. */
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
      /** Calls that `drain_timeout` cut. */
      readonly cut: number;
    }
  | {
      readonly name: "catalog.changed";
      readonly tools: number;
      readonly resources: number;
      readonly prompts: number;
      /** Names that came, that went, and of which a schema, a text or the backend is another; at most 20 of each. */
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
      /** On the last one announced of many: how many more there are. */
      readonly more?: number;
    }
  /** What a backend shows was seen for the first time, and is remembered. */
  | { readonly name: "catalog.tools_pinned"; readonly backend: string; readonly count: number }
  | {
      /** Not as it was approved; of many, the last that is announced tells how many more there are. */
      readonly name: "catalog.tool_changed" | "catalog.tool_new";
      readonly backend: string;
      /** `tool`, `prompt`, `resource`, `template`, `skill` or `instructions`. */
      readonly kind: string;
      /** The server's own name of it. */
      readonly tool: string;
      /** `description`, `inputSchema`, …; empty for a new one. */
      readonly members: readonly string[];
      /** A few lines, what was and what is. */
      readonly diff: readonly string[];
      /** No client gets it until it is approved. */
      readonly withheld: boolean;
      readonly more: number;
    }
  | {
      readonly name: "catalog.tools_added" | "catalog.tools_gone" | "catalog.tools_approved";
      readonly backend: string;
      readonly count: number;
      /** At most 20 of them; what is no tool after its kind, as `prompt NAME`. */
      readonly tools: readonly string[];
    }
  | { readonly name: "gateway.listening"; readonly url: string }
  | { readonly name: "gateway.listen_failed"; readonly address: string; readonly reason: string }
  | { readonly name: "gateway.stopped_listening"; readonly url: string };
