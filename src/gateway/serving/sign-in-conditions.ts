// The standing facts about who comes in: keys that cannot be read, and a door that is open to everybody.
import type { BackendCondition } from "../backends/policy/backend-pool-contract.ts";
import type { KeyState } from "../middleware/incoming-auth.ts";
import type { GatewayRules } from "./gateway-rules.ts";

type Standing = Omit<BackendCondition, "sinceMs"> & { readonly sinceMs?: number };

/** `url` null: it does not listen. */
export function signInConditions(rules: GatewayRules, url: string | null): Standing[] {
  const { signed } = rules.authentication;
  return [...(signed === null ? [] : missingKeys(signed.keys)), ...openDoor(rules, url)];
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
