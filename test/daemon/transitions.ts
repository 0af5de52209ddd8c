// Transitions for tests of their listeners.
import type { ServiceTransition } from "../../src/daemon/events/service-transitions.ts";

const MOVED = { host: "10.0.2.5", reason: "10.0.1.5 is gone", duration_ms: 1_200, tb_link: "thunderbolt" };

export function failover(share: string, to: "tb" | "fallback" = "fallback"): ServiceTransition {
  return { name: "share.failover", share, from: to === "tb" ? "fallback" : "tb", to, ...MOVED };
}

export function recovered(share: string): ServiceTransition {
  return { name: "share.recovered", share, from: "fallback", to: "tb", ...MOVED };
}

export function tbReady(share: string): ServiceTransition {
  return { name: "share.tb_ready", share, reason: "3 files are open", tb_link: "thunderbolt" };
}

export function rejected(reason: string): ServiceTransition {
  return { name: "config.rejected", source: "file", reason };
}
