// What rclone and smbclient show of real SMB servers, and who gets a login: two of one name, and one for guests.
import assert from "node:assert/strict";
import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { after, before, describe, type TestContext, test } from "node:test";
import { type PlainRig, startPlainRig } from "../../../src/demo/stage/plain-rig.ts";
import { startHostProbe } from "../../../src/network/probe/host-probe.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { findProgram } from "../../../src/runtime/process/find-program.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { rcloneFiles } from "../../../src/shares/drivers/rclone/files.ts";
import { createKnownServers } from "../../../src/shares/server-proof/known-servers.ts";
import {
  createServerProofs,
  type ProofEndpoint,
  type ProofResult,
  type ServerProofOptions,
} from "../../../src/shares/server-proof/server-proofs.ts";
import { listShareNames } from "../../../src/shares/server-proof/share-names.ts";
import type { RouteSpec, ShareSpec } from "../../../src/shares/share-spec.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { createRecordingLogger } from "../../support/recording-logger.ts";
import { preferSystemRclone } from "../../support/system-rclone.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { routeTo, shareSpec } from "../share-spec.ts";
import {
  clone,
  fill,
  missingForTwoServers,
  PATH_FOLDERS,
  scripts,
  setCreated,
  shareOn,
} from "./two-servers.ts";

const PROBED_WITHIN_MS = 60_000;
const ODD_SHARE = "Proof of $Ümlaut 'x'";
const SHARES = ["same", "written", "named", "copied", "signed", "refused", ODD_SHARE] as const;
const missing = await missingForTwoServers();

/** What a probe of the route finds. */
async function probed({ host, port }: RouteSpec): Promise<ProofEndpoint> {
  const address = host ?? "";
  const probe = startHostProbe(systemClock, { address, port, localAddress: null }, PROBED_WITHIN_MS);
  const { verdict, serverGuid } = await probe.finding;
  assert.equal(verdict, "answers");
  return { address, port, localAddress: null, serverGuid };
}

function proofIn(stateFolder: string, more: Partial<ServerProofOptions> = {}) {
  return createServerProofs({ clock: systemClock, logger: noopLogger, stateFolder, ...more });
}

async function compared(
  proof: ReturnType<typeof proofIn>,
  share: ShareSpec,
  ofTb: Partial<ProofEndpoint> = {},
): Promise<ProofResult> {
  const { tb, fallback } = share.routes;
  const endpoints = { tb: { ...(await probed(tb)), ...ofTb }, fallback: await probed(fallback) };
  return proof.compare(share, endpoints, null, () => true, AbortSignal.any([]));
}

function assertSame(verdict: ProofResult): void {
  assert.equal(verdict.kind, "same", JSON.stringify(verdict));
}

function assertVerdict(verdict: ProofResult, kind: "different" | "unproved", text: RegExp): void {
  assert.ok(verdict.kind !== "same" && verdict.kind === kind, JSON.stringify(verdict));
  assert.match(verdict.text, text);
}

/** A folder that holds this program alone. */
async function only(t: TestContext, name: string): Promise<() => readonly string[]> {
  preferSystemRclone(t);
  const folder = await temporaryFolder(t);
  await symlink((await findProgram(name, PATH_FOLDERS)) ?? assert.fail(), join(folder, name));
  return () => [folder];
}

/** All files below the state folder. */
async function keptFiles(stateFolder: string): Promise<string[]> {
  const entries = await readdir(stateFolder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}

describe("real servers", { skip: missing ?? false }, () => {
  const rigs = new AsyncDisposableStack();
  let one: PlainRig;
  let other: PlainRig;
  let guests: PlainRig;
  const startRig = async (settings: readonly string[] = []): Promise<PlainRig> =>
    rigs.use(await startPlainRig({ shares: SHARES, settings }));

  before(async () => {
    [one, other, guests] = await Promise.all([
      startRig(),
      startRig(),
      startRig([
        ...["map to guest = Bad Password", `guest account = ${userInfo().username}`, "guest ok = yes"],
        "interfaces = 127.0.0.1 ::1",
      ]),
    ]);
  });
  after(() => rigs.disposeAsync());

  test("A10 one server over two addresses is the same, and only its known facts are left", async (t) => {
    const stateFolder = await temporaryFolder(t);
    const root = one.exportPath("same");
    await fill(root);
    const { folder } = rcloneFiles(stateFolder, "same");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await writeFile(join(folder, "proof-tb.1-0123456789ab.auth"), "password = of a process that was killed");
    assertSame(await compared(proofIn(stateFolder), shareOn(one, one, "same")));
    assert.deepEqual(await readdir(folder), ["servers"]);
    const [server, ...more] = await readdir(join(folder, "servers"));
    assert.equal((await stat(join(folder, "servers", server ?? "", "server.json"))).mode & 0o777, 0o600);
    assert.deepEqual(more, [], "one server has one id");
    assert.deepEqual((await readdir(root)).toSorted(), ["first.txt", "letters", "second.dat"]);
  });

  test("A10 a server whose files have names that rclone writes in other characters is recognized", async (t) => {
    const root = one.exportPath("written");
    for (const name of ["a＂b", "c：d", "＊？＜＞｜＼", "quoted‛＂", "end．", "space␠"])
      await writeFile(join(root, name), name);
    const proof = proofIn(await temporaryFolder(t));
    const share = shareOn(one, one, "written");
    const proved = await compared(proof, share);
    const endpoint = await probed(share.routes.tb);
    const expected = { server: proved.kind === "same" ? proved.server : null };
    assert.deepEqual(await proof.recognise(share, "tb", endpoint, expected, AbortSignal.any([])), proved);
  });

  test("A10 two servers of one NetBIOS name and different content are different, and the files are named", async (t) => {
    await fill(one.exportPath("named"), ["report.txt", "both.txt"]);
    await fill(other.exportPath("named"), ["holiday.jpg", "both.txt"]);
    const split = shareOn(one, other, "named");
    const { tb, fallback } = split.routes;
    const guids = [await probed(tb), await probed(fallback)].map(({ serverGuid }) => serverGuid);
    assert.equal(guids[0], guids[1], "their ServerGuids tell them apart by nothing");
    const stateFolder = await temporaryFolder(t);
    const programFolders = await only(t, "rclone");
    const sources = `//${tb.host}:${tb.port}/named and //${fallback.host}:${fallback.port}/named`;
    assert.deepEqual(await compared(proofIn(stateFolder, { programFolders }), split), {
      kind: "different",
      text: `${sources} list different files: only the first has report.txt, only the second has holiday.jpg`,
    });
    assert.deepEqual(await keptFiles(stateFolder), [], "nothing is known of a server that is not proved");
  });

  test("A10 a clone with equal times is recognized by its creation times, which only smbclient gives", async (t) => {
    const root = one.exportPath("copied");
    await fill(root);
    await setCreated(shareOn(one, one, "copied"), "first.txt");
    await clone(root, other.exportPath("copied"));
    const split = shareOn(one, other, "copied");
    const folder = await temporaryFolder(t);
    assertVerdict(
      await compared(proofIn(join(folder, "both")), split),
      "different",
      /were created at different times$/,
    );
    const programFolders = await only(t, "rclone");
    assertSame(await compared(proofIn(join(folder, "blind"), { programFolders }), split));
  });

  test("F3 a login that must be signed is sent by smbclient, which insists on it, and appears nowhere", async (t) => {
    const folder = await temporaryFolder(t);
    await fill(one.exportPath("signed"));
    const calls = join(folder, "calls");
    const smbclient = `echo "smbclient $*" >> '${calls}'; env >> '${calls}.env'; exec '${await findProgram("smbclient", PATH_FOLDERS)}' "$@"`;
    const rclone = `echo "rclone $1" >> '${calls}'; exit 1`;
    const programFolders = await scripts(folder, { smbclient, rclone });
    const proof = proofIn(join(folder, "home"), { programFolders, signsLogins: true });
    assertSame(await compared(proof, shareOn(one, one, "signed")));
    const asked = await readFile(calls, "utf8");
    for (const call of asked.trim().split("\n")) assert.match(call, /^smbclient .*--client-protection=sign/);
    assert.ok(!`${asked}${await readFile(`${calls}.env`, "utf8")}`.includes(one.password));
    assert.deepEqual(await keptFiles(join(folder, "home")), ["server.json"]);
  });

  test("A14 a refused login proves nothing, is tried over one route only, and its secret appears nowhere", async (t) => {
    const folder = await temporaryFolder(t);
    preferSystemRclone(t);
    const password = "not the secret word";
    const real = (name: string) =>
      `echo "${name} $@" >> ${folder}/calls; env >> ${folder}/calls; PATH=${PATH_FOLDERS.join(":")} exec ${name} "$@"`;
    const programFolders = await scripts(folder, { rclone: real("rclone"), smbclient: real("smbclient") });
    const stateFolder = join(folder, "home");
    const logger = createRecordingLogger();
    const proof = proofIn(stateFolder, { programFolders, logger });
    const verdict = await compared(proof, shareOn(one, one, "refused", { password }));
    assertVerdict(verdict, "unproved", /cannot be listed: .*logon/i);
    const calls = await readFile(join(folder, "calls"), "utf8");
    assert.equal(calls.match(/^rclone lsjson/gm)?.length, 1);
    assert.equal(calls.match(/^smbclient/gm), null, "a second program would be a second wrong password");
    assert.ok(!`${calls}${JSON.stringify([verdict, logger.lines])}`.includes(password));
    assert.deepEqual(await keptFiles(stateFolder), []);
  });

  test("A10 a program that hangs is ended after ten seconds, and proves nothing", async (t) => {
    const folder = await temporaryFolder(t);
    preferSystemRclone(t);
    const hangs = `echo started >> ${folder}/started; exec sleep 600`;
    const programFolders = await scripts(folder, { rclone: hangs, smbclient: hangs });
    const clock = createManualClock();
    const proof = proofIn(join(folder, "home"), { programFolders, clock });
    const endpoint = { address: "127.0.0.1", port: 1, localAddress: null, serverGuid: "0".repeat(32) };
    const endpoints = { tb: endpoint, fallback: endpoint };
    // A guest, so that no password has to be made fit for rclone first.
    const guest = shareOn(one, one, "refused", { password: null });
    const comparing = proof.compare(guest, endpoints, null, () => true, AbortSignal.any([]));
    const started = () =>
      readFile(join(folder, "started"), "utf8").then((text) => text.split("\n").length - 1);
    await eventually(async () => (await started()) === 1);
    await clock.advance(10_000);
    const ended = await passTimeUntilSettled(clock, comparing, 500);
    assertVerdict(ended, "unproved", /cannot be listed: rclone took too long$/);
    assert.equal(await started(), 1, "no time is left for another program");
    const stop = new AbortController();
    const cancelled = proof.compare(guest, endpoints, null, () => true, stop.signal);
    await eventually(async () => (await started()) === 2);
    stop.abort();
    await assert.rejects(cancelled, { code: "aborted" });
    assert.deepEqual(await keptFiles(join(folder, "home")), [], "a file with a login is left");
  });

  for (const program of ["rclone", "smbclient"] as const) {
    test(`A10 shares and names with odd characters are read by ${program}`, async (t) => {
      const names = [
        ...["semi;colon.txt", "quo'te", "日本語", "per%cent"],
        "ein Näme mit Ümläuten und mehr als dreißig Zeichen",
      ];
      const rig = program === "rclone" ? one : other;
      await fill(rig.exportPath(ODD_SHARE), names);
      const share = shareOn(rig, rig, ODD_SHARE);
      const stateFolder = await temporaryFolder(t);
      const proof = proofIn(stateFolder, { programFolders: await only(t, program) });
      const endpoint = await probed(share.routes.tb);
      assertSame(await proof.recognise(share, "tb", endpoint, { server: null }, AbortSignal.any([])));
      const [server] = await createKnownServers(stateFolder).list(share);
      const entries = server?.witness?.entries ?? assert.fail();
      assert.deepEqual(entries.map(({ name }) => name).toSorted(), [...names, "letters"].toSorted());
      assert.equal(entries.find(({ name }) => name === "日本語")?.size, 17);
    });

    test(`A10 a guest's share is compared by ${program}, also over IPv6 and from a specific local address`, async (t) => {
      const root = guests.exportPath("same");
      if ((await readdir(root)).length === 0) await fill(root);
      const port = guests.serverPort;
      const routes = { tb: routeTo("127.0.0.1", { port }), fallback: routeTo("::1", { port }) };
      const share = shareSpec({ name: "same", username: "", routes });
      const proof = proofIn(await temporaryFolder(t), { programFolders: await only(t, program) });
      assertSame(await compared(proof, share, { localAddress: "127.0.0.9" }));
    });
  }

  const login = ({ username, password, serverPort: port }: PlainRig, change: object = {}) =>
    shareSpec({
      ...{ username, password },
      routes: { tb: routeTo("127.0.0.1", { port }), fallback: routeTo(null) },
      ...change,
    });

  test("F3 a server's shares are listed for the right login, by smbclient or by rclone, without those reserved for the server; a wrong login is reported", async (t) => {
    const folder = await temporaryFolder(t);
    for (const program of ["smbclient", "rclone"]) {
      const folders = (await only(t, program))();
      const ask = (change?: object) => listShareNames(login(one, change), folder, t.signal, folders);
      const listed = await ask();
      assert.deepEqual(listed.kind === "listed" && [...listed.names].toSorted(), SHARES.toSorted());
      const refused = await ask({ password: "another word" });
      assert.equal(refused.kind, "refused", JSON.stringify(refused));
      assert.doesNotMatch(JSON.stringify(refused), /another word|NT_STATUS/);
    }
    const none = await listShareNames(login(one), folder, t.signal, []);
    assert.deepEqual(none, { kind: "failed", text: "nothing here can ask it: install rclone or smbclient" });
  });

  test("F3 a server that treats any login as a guest gives no list of its shares: a password was typed, and its session is not signed", async (t) => {
    const ask = async (change: object) =>
      listShareNames(login(guests, change), await temporaryFolder(t), t.signal, PATH_FOLDERS);
    const typed = await ask({ password: "another word" });
    assert.equal(typed.kind, "refused", JSON.stringify(typed));
    const asGuest = await ask({ password: null });
    assert.equal(asGuest.kind, "listed", JSON.stringify(asGuest));
  });

  test("F3 no host on the network is asked to resolve a server's name before the login is sent there", async (t) => {
    const folder = await temporaryFolder(t);
    const said = join(folder, "said");
    const real = (await findProgram("smbclient", PATH_FOLDERS)) ?? assert.fail();
    const script = `#!/bin/sh\nexec '${real}' -d 3 "$@" > '${said}' 2>&1\n`;
    await writeFile(join(folder, "smbclient"), script, { mode: 0o755 });
    const unknown = login(one, { routes: { tb: routeTo("no-such-nas"), fallback: routeTo(null) } });
    assert.equal((await listShareNames(unknown, folder, t.signal, [folder])).kind, "failed");
    const lookups = (await readFile(said, "utf8")).match(/(?:resolve_\w+|\w+_bcast): Attempting/g);
    assert.deepEqual(lookups, ["resolve_hosts: Attempting"]);
  });

  test("F3 without smbclient, a server that admits strangers as guests does not confirm a typed login", async (t) => {
    const folders = (await only(t, "rclone"))();
    const ask = async (change: object) =>
      listShareNames(login(guests, change), await temporaryFolder(t), t.signal, folders);
    const typed = await ask({ username: "nobody-here" });
    assert.ok(typed.kind === "refused" && /anybody in as a guest; install smbclient/.test(typed.text));
    assert.equal((await ask({ password: null })).kind, "listed");
  });
});
