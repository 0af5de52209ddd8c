import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makeCertificates } from "../../../src/fleet/way-in/certificate.ts";
import { runCommand } from "../../../src/runtime/process/child-process.ts";
import { findProgram } from "../../../src/runtime/process/find-program.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const HOSTS = ["nas.local", "192.0.2.7", "2001:db8::1:2", "::ffff:192.0.2.8", "localhost"];

test("the server's certificate is the authority's, for its hosts and no others", () => {
  const { authority, server } = makeCertificates(HOSTS, Date.now());
  const [ca, leaf] = [new X509Certificate(authority.certificate), new X509Certificate(server.certificate)];
  assert.equal(ca.ca, true);
  assert.equal(leaf.ca, false);
  assert.equal(ca.verify(ca.publicKey), true);
  assert.equal(leaf.verify(ca.publicKey), true);
  assert.equal(leaf.checkIssued(ca), true);
  assert.equal(ca.raw.equals(authority.der), true);
  assert.equal(leaf.checkHost("nas.local"), "nas.local");
  assert.equal(leaf.checkHost("other.local"), undefined);
  assert.equal(leaf.checkIP("192.0.2.7"), "192.0.2.7");
  assert.equal(leaf.checkIP("2001:db8::1:2"), "2001:db8::1:2");
  assert.equal(leaf.checkIP("192.0.2.9"), undefined);
});

test("it holds for ten years, and began before a clock that is a day behind", () => {
  const nowMs = Date.UTC(2026, 10, 22);
  const leaf = new X509Certificate(makeCertificates(["localhost"], nowMs).server.certificate);
  assert.equal(Date.parse(leaf.validFrom) < nowMs - 86_400_000, true);
  assert.equal(Date.parse(leaf.validTo) > nowMs + 3_600 * 86_400_000, true);
  const late = new X509Certificate(makeCertificates(["localhost"], Date.UTC(2045, 0, 1)).server.certificate);
  assert.equal(new Date(late.validTo).getUTCFullYear(), 2054);
});

test("openssl takes the chain, strictly", async (t) => {
  if ((await findProgram("openssl", (process.env["PATH"] ?? "").split(":"))) === null) {
    t.skip("openssl is not installed");
    return;
  }
  const folder = await temporaryFolder(t);
  const { authority, server } = makeCertificates(HOSTS, Date.now());
  const [ca, leaf] = [join(folder, "ca.pem"), join(folder, "server.pem")];
  await writeFile(ca, authority.certificate);
  await writeFile(leaf, server.certificate);
  const args = [
    "verify",
    "-x509_strict",
    "-purpose",
    "sslserver",
    "-verify_ip",
    "192.0.2.7",
    "-CAfile",
    ca,
    leaf,
  ];
  const { exitCode, stderr } = await runCommand("openssl", args, { clock: systemClock, deadlineMs: 20_000 });
  assert.equal(exitCode, 0, stderr);
});
