// A certificate that is its own authority, made as docs/reference/fleet.md says.
import { execFileSync } from "node:child_process";
import { isIP } from "node:net";

/** PEM. `names`: host names and addresses. */
export function selfSigned(names: readonly string[]): { readonly cert: string; readonly key: string } {
  const alternatives = names.map((name) => `${isIP(name) === 0 ? "DNS" : "IP"}:${name}`).join();
  const fresh =
    "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 7300 -subj /CN=fleet";
  const args = [...fresh.split(" "), "-addext", `subjectAltName=${alternatives}`, "-keyout", "-"];
  const text = execFileSync("openssl", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  const from = text.indexOf("-----BEGIN CERTIFICATE");
  return { cert: text.slice(from), key: text.slice(0, from) };
}
