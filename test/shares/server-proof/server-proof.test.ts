// The server proof on real SMB servers: one behind both routes, two of one name, clones, servers that were replaced.
import assert from "node:assert/strict";
import { appendFile, open, readdir, readFile, rm, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findProgram } from "../../../src/runtime/process/find-program.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { rcloneFiles } from "../../../src/shares/drivers/rclone/files.ts";
import type { ShareSpec } from "../../../src/shares/share-spec.ts";
import { startSmbServer } from "../../network/smb-server.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import {
  clone,
  compared,
  endpointsOf,
  fill,
  isSteady,
  keptFiles,
  knownTo,
  missingForTwoServers,
  onlyPrograms,
  PATH_FOLDERS,
  probed,
  proofIn,
  recognised,
  scripts,
  setCreated,
  shareOn,
  startTwoServers,
  type ToldVerdict,
  type TwoServers,
} from "./two-servers.ts";

const missing = await missingForTwoServers();
const SHARES = Array.from({ length: 24 }, (_, index) => `PROOF${index}`);
const ODD_SHARE = "Proof of $Ümlaut 'x'";
const SAME: ToldVerdict = { kind: "same" };
const NEVER = new AbortController().signal;

function assertVerdict(verdict: ToldVerdict, kind: "different" | "unproved", text: RegExp): void {
  assert.ok(verdict.kind !== "same" && verdict.kind === kind, JSON.stringify(verdict));
  assert.match(verdict.text, text);
  assert.ok(!verdict.text.includes("\n"), verdict.text);
}

describe("the server proof", { skip: missing ?? false }, () => {
  let servers: TwoServers;
  const unused = SHARES.values();
  /** The name of a share that no other test uses, and its folders on both servers. */
  const fresh = (name = unused.next().value ?? "") => ({
    name,
    root: servers.one.exportPath(name),
    otherRoot: servers.other.exportPath(name),
    /** Both routes lead to the first server. */
    whole: shareOn(servers.one, servers.one, name),
    /** The fallback leads to the second one. */
    split: shareOn(servers.one, servers.other, name),
    /** As `whole`, once the second server took the first one's place. */
    replaced: shareOn(servers.other, servers.other, name),
  });

  before(async () => {
    servers = await startTwoServers([...SHARES, ODD_SHARE]);
  });
  after(() => servers[Symbol.asyncDispose]());

  test("A10 one server over two addresses is the same, and nothing but what is known of it is left", async (t) => {
    const stateFolder = await temporaryFolder(t);
    const { whole, root } = fresh();
    await fill(root);
    const proof = proofIn(stateFolder);
    assert.deepEqual(await compared(proof, whole), SAME);
    const { folder } = rcloneFiles(stateFolder, whole.name);
    await writeFile(join(folder, "proof-tb.1-0123456789ab.auth"), "password = of a process that was killed");
    assert.deepEqual(await compared(proof, whole), SAME);
    assert.deepEqual(await readdir(folder), ["servers"]);
    const [server, ...more] = await readdir(join(folder, "servers"));
    assert.equal((await stat(join(folder, "servers", server ?? "", "server.json"))).mode & 0o777, 0o600);
    assert.deepEqual(more, [], "one server has one id");
    assert.equal((await stat(folder)).mode & 0o777, 0o700);
    assert.deepEqual((await readdir(root)).toSorted(), ["first.txt", "letters", "second.dat"]);
  });

  test("A10 two servers of one NetBIOS name and different content are different, and the files are named", async (t) => {
    const { split, root, otherRoot } = fresh();
    await fill(root, ["report.txt", "both.txt"]);
    await fill(otherRoot, ["holiday.jpg", "both.txt"]);
    const { tb, fallback } = await endpointsOf(split);
    assert.equal(tb.serverGuid, fallback.serverGuid, "their ServerGuids tell them apart by nothing");
    const stateFolder = await temporaryFolder(t);
    const verdict = await compared(proofIn(stateFolder), split);
    const sources = `//${tb.address}:${tb.port}/${split.name} and //${fallback.address}:${fallback.port}/${split.name}`;
    assert.deepEqual(verdict, {
      kind: "different",
      text: `${sources} list different files: only the first has report.txt, only the second has holiday.jpg`,
    });
    assert.deepEqual(await keptFiles(stateFolder), [], "nothing is known of a server that is not proved");
  });

  test("F3 a login that has to be signed goes out by smbclient, which insists on it; without it nobody gets the login", async (t) => {
    const stateFolder = await temporaryFolder(t);
    const { whole, root } = fresh();
    await fill(root);
    const calls = join(stateFolder, "calls");
    const smbclient = `echo "smbclient $*" >> '${calls}'; exec '${await findProgram("smbclient", PATH_FOLDERS)}' "$@"`;
    const rclone = `echo "rclone $1" >> '${calls}'; exit 1`;
    const both = await scripts(stateFolder, { smbclient, rclone });
    const signing = proofIn(stateFolder, { programFolders: both, signsLogins: true });
    assert.deepEqual(await compared(signing, whole), SAME);
    const asked = (await readFile(calls, "utf8")).trim().split("\n");
    assert.ok(
      asked.every((call) => /^smbclient .*--client-protection=sign/.test(call)),
      asked.join("\n"),
    );
    const programFolders = await onlyPrograms(stateFolder, ["rclone"]);
    const alone = proofIn(stateFolder, { programFolders, signsLogins: true });
    assertVerdict(await compared(alone, whole), "unproved", /install smbclient, which signs the login/);
  });

  test("A10 a clone with one more file, or another file, is different", async (t) => {
    const { split, root, otherRoot } = fresh();
    await fill(root);
    await clone(root, otherRoot);
    await writeFile(join(otherRoot, "one more.txt"), "");
    const proof = proofIn(await temporaryFolder(t));
    assertVerdict(await compared(proof, split), "different", /only the second has one more\.txt$/);
    await unlink(join(otherRoot, "one more.txt"));
    await appendFile(join(otherRoot, "first.txt"), "!");
    assertVerdict(
      await compared(proof, split),
      "different",
      /first\.txt has 17 bytes on the first, 18 on the second/,
    );
    await clone(root, otherRoot);
    await utimes(join(otherRoot, "first.txt"), 1_000, 1_000);
    assertVerdict(await compared(proof, split), "different", /first\.txt was changed at different times/);
  });

  test("A10 servers with other ServerGuids are different, and one that tells none proves nothing", async (t) => {
    const { whole } = fresh();
    const proof = proofIn(await temporaryFolder(t));
    const { tb, fallback } = await endpointsOf(whole);
    const { signal } = new AbortController();
    const other = { tb, fallback: { ...fallback, serverGuid: "ff".repeat(16) } };
    assertVerdict(
      await proof.compare(whole, other, null, isSteady, signal),
      "different",
      /two servers: their ServerGuids are/,
    );
    const silent = { tb: { ...tb, serverGuid: null }, fallback };
    assertVerdict(
      await proof.compare(whole, silent, null, isSteady, signal),
      "unproved",
      /does not show its ServerGuid/,
    );
  });

  test("A10 a file that is being written all the time, and files that come and go, make no two servers", async (t) => {
    const { whole, root } = fresh();
    await fill(root);
    await using log = await open(join(root, "log.txt"), "a");
    const stop = new AbortController();
    const writing = (async () => {
      for (let count = 0; !stop.signal.aborted; count += 1) {
        await log.write("a line\n");
        await writeFile(join(root, `passing-${count}`), "");
        await systemClock.sleep(3);
        await rm(join(root, `passing-${count}`));
      }
    })();
    t.after(() => stop.abort());
    const proof = proofIn(await temporaryFolder(t));
    for (let count = 0; count < 3; count += 1) assert.deepEqual(await compared(proof, whole), SAME);
    stop.abort();
    await writing;
  });

  test("A10 a clone with equal times is told apart by its creation times, which smbclient alone gives", async (t) => {
    const { split, whole, replaced, root, otherRoot } = fresh();
    await fill(root);
    await setCreated(whole, "first.txt");
    await clone(root, otherRoot);
    const folder = await temporaryFolder(t);
    const proof = proofIn(join(folder, "both"));
    assertVerdict(await compared(proof, split), "different", /were created at different times$/);
    assert.deepEqual(await compared(proof, whole), SAME);
    assertVerdict(await recognised(proof, replaced, "tb"), "different", /was created at another time/);
    assert.deepEqual(await recognised(proof, whole, "fallback"), SAME);
    const blind = proofIn(join(folder, "rclone"), { programFolders: await onlyPrograms(folder, ["rclone"]) });
    assert.deepEqual(await compared(blind, split), SAME, "what rclone shows is the same");
    assert.deepEqual(await recognised(blind, replaced, "tb"), SAME);
  });

  test("A10 a server with the old name and other content is not the one from before", async (t) => {
    const { whole, replaced, root, otherRoot } = fresh();
    await fill(root);
    await writeFile(join(otherRoot, "unheard of.txt"), "");
    const stateFolder = await temporaryFolder(t);
    for (const programs of [["rclone"], ["smbclient"], ["rclone", "smbclient"]]) {
      const state = join(stateFolder, programs.join("-"));
      const proof = proofIn(state, { programFolders: await onlyPrograms(stateFolder, programs) });
      assert.deepEqual(await compared(proof, whole), SAME);
      assertVerdict(
        await recognised(proof, replaced, "tb"),
        "different",
        /none of the 3 entries that it had before$/,
      );
    }
  });

  test("A10 a server that was away is known again after a restart, whatever came, went and changed", async (t) => {
    const { whole, root } = fresh();
    await fill(root, ["a.txt", "b.txt", "c.txt"]);
    const folder = await temporaryFolder(t);
    for (const [index, programs] of [["rclone"], ["smbclient"], ["rclone", "smbclient"]].entries()) {
      const state = join(folder, String(index));
      const programFolders = await onlyPrograms(folder, programs);
      assert.deepEqual(await compared(proofIn(state, { programFolders }), whole), SAME);
      await writeFile(join(root, `new ${index}.txt`), "new");
      await appendFile(join(root, "a.txt"), "more");
      if (index === 0) await unlink(join(root, "b.txt"));
      // Each time another daemon, with whatever is installed by then.
      assert.deepEqual(await recognised(proofIn(state, { programFolders }), whole, "fallback"), SAME);
      assert.deepEqual(await recognised(proofIn(state), whole, "tb"), SAME);
    }
  });

  test("A10 a root where all that was known has changed is unproved, and so is an empty one", async (t) => {
    const { whole, root } = fresh();
    const proof = proofIn(await temporaryFolder(t));
    assertVerdict(await compared(proof, whole), "unproved", /are empty: put a file there/);
    await writeFile(join(root, "only.txt"), "1");
    assert.deepEqual(await compared(proof, whole), SAME);
    await writeFile(join(root, "only.txt"), "12");
    assertVerdict(
      await recognised(proof, whole, "tb"),
      "unproved",
      /nothing left in it that is as it was before$/,
    );
    await unlink(join(root, "only.txt"));
    assertVerdict(await recognised(proof, whole, "tb"), "unproved", /is empty/);
  });

  test("A10 another ServerGuid than before is another server", async (t) => {
    const { whole, root } = fresh();
    await fill(root);
    const proof = proofIn(await temporaryFolder(t));
    const { signal } = new AbortController();
    assertVerdict(
      await recognised(proof, whole, "tb"),
      "unproved",
      /^nothing is known yet of the server behind /,
    );
    assert.deepEqual(await compared(proof, whole), SAME);
    const endpoint = await probed(whole.routes.tb);
    const expected = { server: (await knownTo(proof, whole))[0]?.id ?? null };
    const other = { ...endpoint, serverGuid: "0".repeat(32) };
    assertVerdict(
      await proof.recognise(whole, "tb", other, expected, signal),
      "different",
      /leads to another server than before/,
    );
    const silent = { ...endpoint, serverGuid: null };
    assertVerdict(
      await proof.recognise(whole, "tb", silent, expected, signal),
      "unproved",
      /does not show its ServerGuid/,
    );
  });

  test("A14 a refused login proves nothing, is tried over one route alone, and its secret shows nowhere", async (t) => {
    const { whole, root } = fresh();
    await fill(root);
    const folder = await temporaryFolder(t);
    const password = "not the secret word";
    const real = (name: string) =>
      `echo "${name} $@" >> ${folder}/calls; env >> ${folder}/calls; PATH=${PATH_FOLDERS.join(":")} exec ${name} "$@"`;
    const programFolders = await scripts(folder, { rclone: real("rclone"), smbclient: real("smbclient") });
    const stateFolder = join(folder, "home");
    const logger = createRecordingLogger();
    const proof = proofIn(stateFolder, { programFolders, logger });
    const verdict = await compared(proof, { ...whole, password });
    assertVerdict(verdict, "unproved", /cannot be listed: .*logon/i);
    assertVerdict(
      await compared(proof, { ...whole, missingVariable: "NAS" }),
      "unproved",
      /the password is missing/,
    );
    const calls = await readFile(join(folder, "calls"), "utf8");
    assert.equal(calls.match(/^rclone lsjson/gm)?.length, 1);
    assert.equal(calls.match(/^smbclient/gm), null, "a second program would be a second wrong password");
    assert.deepEqual(await compared(proof, whole), SAME);
    const shown = `${await readFile(join(folder, "calls"), "utf8")}${JSON.stringify([verdict, logger.lines])}`;
    assert.match(shown, /^smbclient /m);
    for (const secret of [password, servers.one.password]) assert.ok(!shown.includes(secret));
    assert.deepEqual(await keptFiles(stateFolder), ["server.json"]);
  });

  test("A10 without rclone and smbclient nothing is proved, and the text says what to install", async (t) => {
    const { whole, root } = fresh();
    await fill(root);
    const stateFolder = await temporaryFolder(t);
    assert.deepEqual(await compared(proofIn(stateFolder), whole), SAME);
    const proof = proofIn(stateFolder, { programFolders: () => [] });
    assertVerdict(
      await compared(proof, whole),
      "unproved",
      /nothing here can list .*: install rclone or smbclient$/,
    );
    assertVerdict(await recognised(proof, whole, "tb"), "unproved", /install rclone or smbclient$/);
  });

  test("A10 where rclone fails, smbclient lists", async (t) => {
    const { whole, split, root, otherRoot } = fresh();
    await fill(root);
    const folder = await temporaryFolder(t);
    const programFolders = await scripts(folder, { rclone: "echo 'Failed: no such backend' >&2; exit 1" });
    const proof = proofIn(join(folder, "home"), { programFolders });
    assert.deepEqual(await compared(proof, whole), SAME);
    await fill(otherRoot, ["other.txt"]);
    assertVerdict(await compared(proof, split), "different", /only the first has first\.txt, second\.dat/);
  });

  test("A13 what is known of a server survives no damage, and a change of user", async (t) => {
    const { whole, root } = fresh();
    await fill(root);
    const stateFolder = await temporaryFolder(t);
    const proof = proofIn(stateFolder);
    assert.deepEqual(await compared(proof, whole), SAME);
    const [server] = await knownTo(proof, whole);
    const folder = join(rcloneFiles(stateFolder, whole.name).folder, "servers", server?.id ?? "");
    const path = join(folder, "server.json");
    const elsewhere = await recognised(proof, { ...whole, username: "somebody" }, "tb");
    assertVerdict(elsewhere, "unproved", /cannot be listed/);
    assert.deepEqual(await recognised(proof, whole, "tb"), SAME);
    const text = await readFile(path, "utf8");
    for (const damaged of ["", text.slice(0, -20), "[]", text.replace('"entries":[', '"entries":[7,')]) {
      await writeFile(path, damaged);
      assertVerdict(await recognised(proof, whole, "tb"), "unproved", /nothing is known yet/);
    }
  });

  test("A13 what a version before knew of a share's one server is known of it still", async (t) => {
    const { whole, root } = fresh();
    await fill(root);
    const stateFolder = await temporaryFolder(t);
    const proof = proofIn(stateFolder);
    assert.deepEqual(await compared(proof, whole), SAME);
    const { folder } = rcloneFiles(stateFolder, whole.name);
    const [{ shareName, witness } = assert.fail()] = await knownTo(proof, whole);
    await rm(join(folder, "servers"), { recursive: true });
    const before = { version: 1, shareName, username: whole.username, ...witness };
    await writeFile(join(folder, "server.json"), `${JSON.stringify(before)}\n`);
    assert.deepEqual(await compared(proof, whole), SAME);
    assert.deepEqual(
      (await knownTo(proof, whole)).map(({ id }) => id),
      ["first"],
    );
  });

  test("A13 of three servers of one ServerGuid each has its id, and a clone by its own creation times", async (t) => {
    const { whole, replaced, root, otherRoot } = fresh();
    await fill(root);
    await setCreated(whole, "first.txt");
    const proof = proofIn(await temporaryFolder(t));
    const idAt = async (share: ShareSpec): Promise<string> => {
      const endpoint = await probed(share.routes.tb);
      const verdict = await proof.recognise(share, "tb", endpoint, { server: null }, NEVER);
      return verdict.kind === "same" ? verdict.server : assert.fail(verdict.text);
    };
    const original = await idAt(whole);
    await clone(root, otherRoot);
    await writeFile(join(otherRoot, "one more.txt"), "");
    await setCreated(replaced, "first.txt", "2020:01:02-03:04:05");
    const isSteady = (): boolean => false;
    assertVerdict(
      await proof.recognise(
        replaced,
        "tb",
        await probed(replaced.routes.tb),
        { server: null, isSteady },
        NEVER,
      ),
      "unproved",
      /was lost meanwhile/,
    );
    assert.equal((await knownTo(proof, whole)).length, 1, "what may be read of two servers makes none known");
    const copy = await idAt(replaced);
    assert.notEqual(copy, original);
    assert.equal(await idAt(whole), original);
    assert.equal(await idAt(replaced), copy);
  });

  test("A10 roots of thousands of files are compared to the last, in bounded memory", async (t) => {
    const { whole, split, root, otherRoot } = fresh();
    for (const folder of [root, otherRoot]) {
      for (let index = 0; index < 6_000; index += 1) {
        const path = join(folder, `file-${String(index).padStart(5, "0")}`);
        await writeFile(path, "");
        await utimes(path, 1_000_000, 1_000_000);
      }
    }
    const folder = await temporaryFolder(t);
    const programFolders = await onlyPrograms(folder, ["rclone"]);
    const proof = proofIn(join(folder, "home"), { programFolders });
    const startedAtMs = performance.now();
    assert.deepEqual(await compared(proof, whole), SAME);
    t.diagnostic(`compared in ${Math.round(performance.now() - startedAtMs)} ms`);
    assert.deepEqual(await compared(proof, split), SAME);
    const [known] = await knownTo(proof, whole);
    assert.equal(known?.witness?.entries.length, 64);
    await writeFile(join(otherRoot, "file-05999"), "1");
    assertVerdict(
      await compared(proof, split),
      "different",
      /different files among their 6000 and 6000 entries$/,
    );
  });

  test("A10 a program that hangs is ended after ten seconds, and proves nothing", async (t) => {
    const { whole } = fresh();
    const folder = await temporaryFolder(t);
    const hangs = `echo started >> ${folder}/started; exec sleep 600`;
    const programFolders = await scripts(folder, { rclone: hangs, smbclient: hangs });
    const clock = createManualClock();
    const proof = proofIn(join(folder, "home"), { programFolders, clock });
    const endpoint = { address: "127.0.0.1", port: 1, localAddress: null, serverGuid: "0".repeat(32) };
    // A guest, so that no password has to be made fit for rclone first.
    const guest = { ...whole, password: null };
    const comparing = proof.compare(
      guest,
      { tb: endpoint, fallback: endpoint },
      null,
      isSteady,
      new AbortController().signal,
    );
    const started = () =>
      readFile(join(folder, "started"), "utf8").then((text) => text.split("\n").length - 1);
    await eventually(async () => (await started()) === 1);
    await clock.advance(10_000);
    const ended = await passTimeUntilSettled(clock, comparing, 500);
    assertVerdict(ended, "unproved", /cannot be listed: rclone took too long$/);
    assert.equal(await started(), 1, "no time is left for another program");
    const stop = new AbortController();
    const cancelled = proof.compare(guest, { tb: endpoint, fallback: endpoint }, null, isSteady, stop.signal);
    await eventually(async () => (await started()) === 2);
    stop.abort();
    await assert.rejects(cancelled, { code: "aborted" });
    assert.deepEqual(await keptFiles(join(folder, "home")), [], "a file with a login is left");
  });

  test("A10 shares and passwords with odd characters are read by both programs", async (t) => {
    const { root, whole } = fresh(ODD_SHARE);
    await fill(root, [
      "semi;colon.txt",
      "quo'te",
      "ein Näme mit Ümläuten und mehr als dreißig Zeichen",
      "日本語",
      "per%cent",
    ]);
    const folder = await temporaryFolder(t);
    for (const program of ["rclone", "smbclient"]) {
      const programFolders = await onlyPrograms(folder, [program]);
      const proof = proofIn(join(folder, `home-${program}`), { programFolders });
      assert.deepEqual(await compared(proof, whole), SAME);
      assert.deepEqual(await recognised(proof, whole, "tb"), SAME);
      const [server] = await knownTo(proof, whole);
      const known = server?.witness ?? assert.fail();
      const names = known.entries.map(({ name }) => name).toSorted();
      assert.deepEqual(names, (await readdir(root)).toSorted());
      assert.equal(known.entries.find(({ name }) => name === "日本語")?.size, 17);
    }
  });
});

test("A10 a guest's share is compared, over IPv6 too", { skip: missing ?? false }, async (t) => {
  const folder = await temporaryFolder(t);
  await fill(folder);
  const port = await startSmbServer(t, [
    "map to guest = Bad User",
    `guest account = ${userInfo().username}`,
    "[OPENPROOF]",
    `path = ${folder}`,
    "guest ok = yes",
  ]);
  const route = (host: string) => ({ host, port, interfaceName: null, folder: null });
  const share: ShareSpec = {
    name: "OPENPROOF",
    shareName: "OPENPROOF",
    username: "",
    password: null,
    missingVariable: null,
    driver: "rclone",
    routes: { tb: route("127.0.0.1"), fallback: route("::1") },
    mountPath: "/nowhere",
    stablePath: "/nowhere",
  };
  const state = await temporaryFolder(t);
  for (const program of ["rclone", "smbclient"]) {
    const proof = proofIn(state, { programFolders: await onlyPrograms(state, [program]) });
    assert.deepEqual(await compared(proof, share), SAME);
    const endpoint = { ...(await probed(share.routes.tb)), localAddress: "127.0.0.9" };
    const { kind } = await proof.recognise(share, "tb", endpoint, { server: null }, NEVER);
    assert.equal(kind, "same");
  }
});
