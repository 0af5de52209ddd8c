// The rules between keys of `[telemetry]` and `[server]`. They read the file's values right or wrong.
import { isLoopback } from "../values/host.ts";
import type { Finding } from "../values/mistakes.ts";
import { asTable, missing, type Table } from "./tables.ts";

/** Anyone who reads `/metrics` learns what is served, and how much: beyond this machine it takes a token. */
export function telemetryFindings(file: Table): Finding[] {
  const telemetry = asTable(file["telemetry"]) ?? {};
  const server = asTable(file["server"]) ?? {};
  if (telemetry["prometheus"] !== true || typeof telemetry["metrics_token"] === "string") return [];
  const { host, public_url: publicUrl } = server;
  const isReachable = (typeof host === "string" && !isLoopback(host)) || typeof publicUrl === "string";
  if (!isReachable) return [];
  const hint =
    'others than this machine reach `/metrics`: mountaineer secret set metrics, then `metrics_token = "secret:metrics"`';
  return [missing(["telemetry", "metrics_token"], "a token, by reference", hint)];
}
