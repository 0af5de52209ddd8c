// The next certificate authority of the fleet's server: the operator signs it, and the common configuration
// carries it. Machines trust it beside the current one until the server has changed.
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { readIfPresent, removeLeftovers, writeDurably } from "../../runtime/files/durable-file.ts";
import { object, reader, text } from "../../runtime/shape.ts";
import { fingerprintOf, isSignedByUser, signedLines, signText, userKey } from "../keys/nkey.ts";

const LARGEST_BYTES = 1024;
/** Maximum number of authorities in the file of trusted ones; the oldest are dropped. */
const MOST_KEPT = 4;

const signedAuthorityOf = reader(object({ certificate: text, signature: text }));

/** `key`: the operator's 32 private bytes; `certificate`: DER, base64. */
export function signAuthority(certificate: string, key: Uint8Array) {
  return { certificate, signature: signText(key, authorityText(userKey(key), certificate)) };
}

/** Returns the certificate; null if `value` is not an authority that this operator has signed. */
export function readAuthority(value: unknown, operator: string): X509Certificate | null {
  const found = signedAuthorityOf(value);
  if (found === null) return null;
  const { certificate, signature } = found;
  const der = Buffer.from(certificate, "base64");
  const isSigned = isSignedByUser(operator, authorityText(operator, certificate), signature);
  if (der.length > LARGEST_BYTES || !isSigned) return null;
  try {
    const authority = new X509Certificate(der);
    return authority.ca ? authority : null;
  } catch {
    return null;
  }
}

/** SHA-256, hex. */
export function authorityFingerprint({ raw }: Pick<X509Certificate, "raw">): string {
  return fingerprintOf(raw).toString("hex");
}

/**
 * Adds the authority durably to those that this machine trusts. If `tlsCa` is not the file that `fleet join` writes,
 * changes nothing and resolves with false.
 */
export async function keepAuthority(
  home: string,
  tlsCa: string | null,
  authority: X509Certificate,
): Promise<boolean> {
  const file = join(home, "fleet", "ca.pem");
  const before = tlsCa === file ? await readIfPresent(file) : null;
  if (before === null) return false;
  const known = certificatesIn(before);
  const pem = authority.toString().trim();
  if (known.includes(pem)) return true;
  await removeLeftovers(file);
  await writeDurably(file, `${[...known, pem].slice(-MOST_KEPT).join("\n")}\n`);
  return true;
}

/** The certificates of a PEM file, each without a final line break. */
export function certificatesIn(pem: string): readonly string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function authorityText(operator: string, certificate: string): string {
  return signedLines('"mountaineer fleet authority 1"', operator, certificate);
}
