// The demo's real server: smbd on loopback, with two relays as cables.
import type { RouteName } from "../../api/contract.ts";
import type { Cable, Nas } from "./nas.ts";
import { type PlainRig, startPlainRig } from "./plain-rig.ts";
import { PASSWORD_VARIABLE, SHARE } from "./stage-layout.ts";

/** `parent` is a folder for it to live in; `environment` marks its processes. Rejects when smbd does not start. */
export async function startSmbNas(
  parent: string,
  environment: Readonly<Record<string, string>>,
): Promise<Nas> {
  const rig = await startPlainRig({ shares: [SHARE], parent, environment });
  return {
    driver: "smb",
    serverFolder: rig.exportPath(SHARE),
    cables: { tb: cable(rig, "tb"), fallback: cable(rig, "fallback") },
    shareConfig: [
      `thunderbolt_host = "${rig.tbHost}:${rig.tbPort}"`,
      `fallback_host = "${rig.fallbackHost}:${rig.fallbackPort}"`,
      `username = ${JSON.stringify(rig.username)}`,
      `password = "\${${PASSWORD_VARIABLE}}"`,
      `driver = "rclone"`,
    ],
    environment: { [PASSWORD_VARIABLE]: rig.password },
    [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose](),
  };
}

function cable(rig: PlainRig, route: RouteName): Cable {
  const relay = rig.relays[route];
  return {
    route,
    address: `${relay.host}:${relay.port}`,
    get plugged() {
      return relay.mode === "pass";
    },
    pull: () => relay.setMode("refuse"),
    plug: () => relay.setMode("pass"),
  };
}
