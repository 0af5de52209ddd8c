// A backend's calls in figures, where the daemon tells them.
import { type ComponentChild, h } from "preact";
import type { BackendStatus } from "../../../api/contract.ts";
import { counted } from "../../../runtime/text/plain-text.ts";
import { msText } from "../parts/text.ts";

export function callFigures(backend: BackendStatus): ComponentChild {
  const { in_flight: inFlight, calls, errors = 0, latency_ms: latency = null } = backend;
  const told = [
    ...(calls === undefined ? [] : [counted(calls, "call")]),
    ...(errors > 0 ? [`${errors} failed`] : []),
    ...(inFlight > 0 ? [`${inFlight} in flight`] : []),
    ...(latency === null ? [] : [`typical ${msText(latency.p50)}, slowest 1 % from ${msText(latency.p99)}`]),
  ];
  return told.length === 0 ? null : h("p", { class: "facts" }, told.join(" · "));
}
