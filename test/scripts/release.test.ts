// What signs a release, and what tells whether it is whole, on small files: `npm run release -- rehearse` plays them on real
// ones.
import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { appendFile, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { run } from "../../scripts/mount/run.ts";
import { sha256Of } from "../../src/runtime/files/sha256.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { LINUX_ALONE } from "../support/where.ts";
import { programMissing } from "../sync/programs.ts";

const needsOpenssl = { skip: LINUX_ALONE || ((await programMissing("openssl")) ?? false) };
const SCRIPTS = path.resolve(import.meta.dirname, "../../scripts/release");
const VERSION = "1.2.0-rc.1";
const PLATFORMS = ["linux-x64", "darwin-arm64"];

function newKeys(): { readonly secret: string; readonly known: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return {
    secret: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
    known: publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("base64"),
  };
}

async function release(t: TestContext) {
  const folder = await temporaryFolder(t);
  const names = [
    `mountaineerd-${VERSION}.tgz`,
    "sbom.cdx.json",
    ...PLATFORMS.flatMap((platform) =>
      [".run", ".tar.xz"].map((ending) => `mountaineer-${VERSION}-${platform}${ending}`),
    ),
    "mountaineer_1.2.0-rc.1_amd64.deb",
    "mountaineer-1.2.0-rc.1-1.x86_64.rpm",
  ];
  for (const name of names) await writeFile(path.join(folder, name), name);
  const sums = names.filter((name) => name.endsWith(".xz")).map((name) => `sha256 "${sha256Of(name)}"\n`);
  await writeFile(path.join(folder, "mountaineer.rb"), sums.join(""));
  const keys = newKeys();
  const sign = (secret = keys.secret) =>
    run(path.join(SCRIPTS, "sign.sh"), [folder], { env: { MOUNTAINEER_SIGNING_KEY: secret } });
  const check = (env: Readonly<Record<string, string>> = {}) =>
    run(path.join(SCRIPTS, "check.sh"), [folder, VERSION, ...PLATFORMS], {
      env: { MOUNTAINEER_RELEASE_KEY: keys.known, ...env },
    });
  await sign();
  return { folder, keys, sign, check };
}

test("F3 a release is signed by openssl, and whole", needsOpenssl, async (t) => {
  const { folder, sign, check } = await release(t);
  assert.match(await check(), /whole and signed: 11 files/);
  for (const name of await readdir(folder))
    assert.match(name, /^[\w.-]+$/, "GitHub makes a dot of any other letter");
  const signature = await readFile(path.join(folder, "SHA256SUMS.sig"));
  await sign();
  assert.deepEqual(await readFile(path.join(folder, "SHA256SUMS.sig")), signature, "again, the same");
  const next = newKeys();
  await sign(next.secret);
  await assert.rejects(check(), /SHA256SUMS was not signed by the release key/);
  await check({ MOUNTAINEER_RELEASE_KEY: next.known });
});

test(
  "F3 a release is refused without any of its files, with an additional one, and after any change",
  needsOpenssl,
  async (t) => {
    const { folder, sign, check } = await release(t);
    const at = (name: string): string => path.join(folder, name);
    for (const name of await readdir(folder)) {
      await rename(at(name), at(".away"));
      await rename(at(".away"), `${folder}.away`);
      await assert.rejects(check(), new RegExp(`missing: ${name.replaceAll(".", "\\.")}`));
      await rename(`${folder}.away`, at(name));
      const before = await readFile(at(name));
      await appendFile(at(name), "x");
      await assert.rejects(check(), /./, `${name} was changed`);
      await writeFile(at(name), before);
    }
    await check();
    await writeFile(at("more"), "");
    await assert.rejects(check(), /not part of a release: more/);
    await rm(at("more"));
    await writeFile(at("mountaineer.rb"), "of another build");
    await sign();
    await assert.rejects(check(), /mountaineer\.rb has another linux-x64/);
  },
);
