// The certificate authority that the fleet's server is about to have: signed by the operator's key, it travels with a layer,
// and stands beside the one before on every machine until the server changes over.
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { readIfPresent, removeLeftovers, writeDurably } from "../../runtime/files/durable-file.ts";
import { isObject } from "../../runtime/text/json-object.ts";
import { fingerprintOf, isSignedBy, publicBytesOf, signText, userKey } from "../keys/nkey.ts";

const LARGEST_BYTES = 1024;
/** Of one file: the newest. */
const MOST_KEPT = 4;

export type SignedAuthority = ReturnType<typeof signAuthority>;

/** `key`: the operator's 32 private bytes; `certificate`: DER, base64. */
export function signAuthority(certificate: string, key: Uint8Array) {
  return { certificate, signature: signText(key, authorityText(userKey(key), certificate)) };
}

/** Null: it is no authority that this operator has signed. */
export function readAuthority(value: unknown, operator: string): X509Certificate | null {
  const { certificate, signature } = isObject(value) ? value : {};
  if (typeof certificate !== "string" || typeof signature !== "string") return null;
  const key = publicBytesOf(operator);
  const der = Buffer.from(certificate, "base64");
  if (key === null || der.length > LARGEST_BYTES) return null;
  if (!isSignedBy(key, authorityText(operator, certificate), signature)) return null;
  try {
    const found = new X509Certificate(der);
    return found.ca ? found : null;
  } catch {
    return null;
  }
}

/** SHA-256, hex. */
export function authorityFingerprint({ raw }: Pick<X509Certificate, "raw">): string {
  return fingerprintOf(raw).toString("hex");
}

/**
 * Puts it beside those by which this machine knows the server, and resolves when it survives a power cut. False: that file
 * (`tlsCa`) is not the one that joining has written, and stays as it is.
 */
export async function keepAuthority(
  home: string,
  tlsCa: string | null,
  authority: X509Certificate,
): Promise<boolean> {
  const file = join(home, "fleet", "ca.pem");
  const text = tlsCa === file ? await readIfPresent(file) : null;
  if (text === null) return false;
  const known = certificatesIn(text);
  const pem = authority.toString().trim();
  if (known.includes(pem)) return true;
  await removeLeftovers(file);
  await writeDurably(file, `${[...known, pem].slice(-MOST_KEPT).join("\n")}\n`);
  return true;
}

/** Each as PEM, without a line break at its end. */
export function certificatesIn(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function authorityText(operator: string, certificate: string): string {
  return ["mountaineer fleet authority 1", operator, certificate]
    .map((part) => JSON.stringify(part))
    .join("\n");
}
