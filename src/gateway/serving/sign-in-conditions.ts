// The standing facts about who comes in, and about what is told of them: keys that cannot be read, a door that is open to
// everybody, traces that do not arrive.
import type { BackendCondition } from "../backends/policy/backend-pool-contract.ts";
import type { KeyState } from "../middleware/incoming-auth.ts";
import type { GatewayRules } from "./gateway-rules.ts";

type Standing = Omit<BackendCondition, "sinceMs"> & { readonly sinceMs?: number };

/** `url` null: it does not listen. */
export function signInConditions(rules: GatewayRules, url: string | null): Standing[] {
  const { signed } = rules.authentication;
  return [...(signed === null ? [] : missingKeys(signed.keys)), ...openDoor(rules, url)];
}

/** Nobody waits for it, and nobody would miss it. */
export function telemetryConditions({ telemetry }: GatewayRules): Standing[] {
  const failure = telemetry?.failure ?? null;
  if (telemetry === null || failure === null) return [];
  const lost = telemetry.dropped === 0 ? "" : ` (${telemetry.dropped} spans lost)`;
  return [
    {
      code: "telemetry_not_sent",
      severity: "warning",
      title: `Traces and metrics do not arrive: ${failure.reason}${lost}`,
      hint: "Requests are served all the same; check [telemetry].endpoint. It is tried again by itself.",
      ...(failure.sinceMs !== undefined && { sinceMs: failure.sinceMs }),
    },
  ];
}

/** Signed tokens cannot be checked, or only with keys that grow old. */
function missingKeys(keys: KeyState): Standing[] {
  if (keys.kind !== "aging" && keys.kind !== "none") return [];
  const { kind, reason, sinceMs } = keys;
  return [
    {
      code: kind === "none" ? "auth_keys_unavailable" : "auth_keys_aging",
      severity: kind === "none" ? "error" : "warning",
      title:
        kind === "none"
          ? `Nobody can come in with a signed token: ${reason}`
          : `The keys that tokens are checked with cannot be read again: ${reason}`,
      hint:
        kind === "none"
          ? "It is tried again by itself; check [incoming_auth].issuer, and that this machine reaches it."
          : "The last ones are used for [incoming_auth].keys_max_age; it is tried again by itself.",
      sinceMs,
    },
  ];
}

/** Any program of this machine, of any user, may use everything: worth knowing, and for many as it should be. */
function openDoor({ config }: GatewayRules, url: string | null): Standing[] {
  if (url === null || config.incomingAuth.type !== "anonymous") return [];
  return [
    {
      code: "auth_open",
      severity: "info",
      title: "No token is needed: whoever is on this machine may use everything that is served",
      hint: "mountaineer init --add --token makes one; the command mountaineer mcp needs none.",
    },
  ];
}
