// A certificate authority and a server's certificate by it, as a fleet has them.
import { issueCertificate, makeAuthority } from "../../src/fleet/enrollment/certificate.ts";

export function makeCertificates(hosts: readonly string[], nowMs: number) {
  const authority = makeAuthority(nowMs);
  return { authority, server: issueCertificate(authority.key, hosts, nowMs) };
}
