// Keys that sign a rehearsal and nothing else, so that a file which they signed is never taken for a release's.
import { generateKeyPairSync } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { run } from "../mount/run.ts";

export interface RehearsalKeys {
  /** For what makes and checks. */
  readonly known: Readonly<Record<"MOUNTAINEER_RELEASE_KEY" | "MOUNTAINEER_ARCHIVE_KEY", string>>;
  /** For what signs. */
  readonly secret: Readonly<Record<"MOUNTAINEER_SIGNING_KEY" | "MOUNTAINEER_ARCHIVE_SIGNING_KEY", string>>;
}

/** `folder` is where gpg works: removed again. The key is older than any commit, as signatures have the commit's time. */
export async function rehearsalKeys(folder: string, expires = "never"): Promise<RehearsalKeys> {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const env = { GNUPGHOME: folder };
  const gpg = (...args: readonly string[]) =>
    run("gpg", ["--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback", ...args], { env });
  try {
    const name = "Mountaineer rehearsal <mountaineer@localhost>";
    const at = ["--faked-system-time", "20200101T000000!"];
    await gpg(...at, "--quick-generate-key", name, "ed25519", "sign", expires);
    return {
      known: {
        MOUNTAINEER_RELEASE_KEY: publicKey
          .export({ format: "der", type: "spki" })
          .subarray(-32)
          .toString("base64"),
        MOUNTAINEER_ARCHIVE_KEY: (await gpg("--armor", "--export")).trimEnd(),
      },
      secret: {
        MOUNTAINEER_SIGNING_KEY: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
        MOUNTAINEER_ARCHIVE_SIGNING_KEY: await gpg("--armor", "--export-secret-keys"),
      },
    };
  } finally {
    await run("gpgconf", ["--kill", "all"], { env });
    await rm(folder, { recursive: true });
  }
}
