// The addresses of the session bus from the environment, as sockets to connect to.
import { join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/** Paths of sockets to try in order; an abstract one begins with NUL. Empty: there is no session bus. */
export function sessionBusPaths(environment: Environment): readonly string[] {
  const given = environment["DBUS_SESSION_BUS_ADDRESS"];
  if (given) return given.split(";").flatMap((address) => socketPaths(address, environment));
  const runtime = environment["XDG_RUNTIME_DIR"];
  // Where systemd puts it, whether or not the variable is passed on.
  return runtime ? [join(runtime, "bus")] : [];
}

function socketPaths(address: string, environment: Environment): string[] {
  const colon = address.indexOf(":");
  if (colon < 0 || address.slice(0, colon) !== "unix") return [];
  const values = new Map<string, string>();
  for (const pair of address.slice(colon + 1).split(",")) {
    const equals = pair.indexOf("=");
    if (equals > 0) values.set(pair.slice(0, equals), unescaped(pair.slice(equals + 1)));
  }
  const path = values.get("path");
  if (path !== undefined) return [path];
  const abstract = values.get("abstract");
  if (abstract !== undefined) return [`\0${abstract}`];
  const runtime = environment["XDG_RUNTIME_DIR"];
  return values.get("runtime") === "yes" && runtime ? [join(runtime, "bus")] : [];
}

/** `%2f` is a slash. */
function unescaped(value: string): string {
  const bytes = Buffer.from(value).toString("latin1");
  const plain = bytes.replace(/%([0-9a-f]{2})/gi, (_, code: string) =>
    String.fromCharCode(Number.parseInt(code, 16)),
  );
  return Buffer.from(plain, "latin1").toString("utf8");
}
