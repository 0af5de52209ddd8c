// By which right the kernel's client mounts for a user, and what it is told: lines of fstab and options.
import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { cifsOptions, relayEchoIntervalS, unspeakable } from "../../../../src/shares/drivers/cifs/options.ts";
import { fstabLine, parseFstab } from "../../../../src/shares/mounts/fstab.ts";
import { pluck } from "../../../support/pluck.ts";
import { routeTo, shareSpec } from "../../share-spec.ts";
import { failure, limits, mounted } from "../driver-contract.ts";
import { skip, startBench } from "./bench.ts";

describe("driver cifs as a user", { skip: skip ?? false }, () => {
  const asUser = { userId: 1000 };

  it("a user mounts what a line of fstab allows, naming only its path", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("My Share");
    const path = share.mountPath.replaceAll(" ", "\\040");
    await writeFile(
      bench.standIns.fstab,
      `# shares\n//tb.test/My\\040Share ${path} cifs user,noauto,credentials=/etc/nas 0 0\n`,
    );
    const driver = bench.fresh(asUser);
    assert.equal(await driver.missingRequirement(), null);
    assert.equal(await driver.missingRequirement(share), null, "over one route at least");
    const moved = { ...share, mountPath: `${share.mountPath} elsewhere` };
    assert.match((await driver.missingRequirement(moved))?.text ?? "", /no line of \/etc\/fstab/);
    await assert.rejects(mounted(driver, share, "fallback"), /no line of \/etc\/fstab .* over fallback/);
    const mount = await mounted(driver, share, "tb");
    assert.deepEqual([mount.route, mount.madeByDriver], ["tb", true]);
    const [call] = await bench.standIns.calls();
    assert.deepEqual([call?.program, call?.args, call?.password], ["mount", ["--", share.mountPath], null]);
    assert.deepEqual(await driver.unmount(share, mount, "plain", limits()), { ok: true });
  });

  it("a line may name the path as configured, or its target", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    await mkdir(dirname(share.mountPath), { recursive: true });
    const link = join(bench.folder, "link");
    await symlink(dirname(share.mountPath), link);
    const linked = { ...share, mountPath: join(link, "CORE") };
    const driver = bench.fresh(asUser);
    for (const path of [linked.mountPath, share.mountPath]) {
      await writeFile(bench.standIns.fstab, `//tb.test/CORE ${path} cifs user 0 0\n`);
      assert.equal(await driver.missingRequirement(linked), null, path);
    }
  });

  it("the password is passed on where fstab has no credentials", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    await writeFile(bench.standIns.fstab, `//tb.test/CORE ${share.mountPath} cifs users,username=ann 0 0\n`);
    await mounted(bench.fresh(asUser), share, "tb");
    const [call] = await bench.standIns.calls();
    assert.deepEqual([call?.args, call?.password], [["--", share.mountPath], "s3cret, too"]);
  });

  it("of two lines for its path only the first can be mounted, by the source; the other is refused before anything runs", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    const line = (host: string) => `//${host}/core\t${share.mountPath}\tcifs\tusers,guest\n`;
    await mkdir(join(bench.standIns.exports, "10.0.0.9/core"), { recursive: true });
    await writeFile(bench.standIns.fstab, line("10.0.0.9") + line("tb.test"));
    const driver = bench.fresh(asUser, { "fallback.test": "10.0.0.9" });
    assert.equal(await driver.missingRequirement(share), null, "over one route at least");
    const refused = failure(await driver.mount(share, "tb", limits()));
    assert.equal(refused.reason, "driver_unavailable");
    assert.match(refused.text, /only the first line .*; .*\/\/127\.0\.0\.1\/CORE .*port=\d+,hard/);
    assert.deepEqual(await bench.standIns.calls(), []);
    const mount = await mounted(driver, share, "fallback");
    assert.equal(mount.route, "fallback");
    const [call] = await bench.standIns.calls();
    assert.deepEqual([call?.args, call?.password], [["--", "//10.0.0.9/core"], null]);
  });

  for (const [what, fstab, says] of [
    ["no fstab", null, /run the service as root/],
    ["a line that is root's", "//tb.test/CORE PATH cifs user,nouser 0 0\n", /run the service as root/],
    ["a line for another path", "//tb.test/CORE /mnt/core cifs user 0 0\n", /no line .* at /],
    ["a line for another share", "//tb.test/OTHER PATH cifs user 0 0\n", /no line/],
    ["a line for a folder of the share", "//tb.test/CORE/sub PATH cifs user 0 0\n", /no line/],
    ["a line for another port", "//tb.test/CORE PATH cifs user,port=4450 0 0\n", /no line/],
  ] as const) {
    it(`with ${what} it is unavailable, with the fix`, async (t) => {
      const bench = await startBench(t);
      const share = bench.share("CORE");
      if (fstab !== null) await writeFile(bench.standIns.fstab, fstab.replace("PATH", share.mountPath));
      const driver = bench.fresh(asUser);
      const failed = failure(await driver.mount(share, "tb", limits()));
      assert.equal(failed.reason, "driver_unavailable");
      assert.match(failed.text, says);
      const lacking = await driver.missingRequirement(share);
      assert.equal(`${lacking?.text}; ${lacking?.hint}`, failed.text, "the first route's");
      assert.match(failed.text, /rclone/);
      assert.equal(await bench.fresh().missingRequirement(), null, "root needs no line");
      assert.deepEqual(await bench.standIns.calls(), []);
    });
  }

  it("without the kernel's client, or the program that calls it, it is unavailable", async (t) => {
    const bench = await startBench(t);
    const text = async (tools: Parameters<typeof bench.fresh>[0]) =>
      (await bench.fresh(tools).missingRequirement())?.text;
    assert.equal(await text({ filesystems: "/nowhere" }), "cifs is Linux's");
    assert.equal(await text({ programFolders: [] }), "mount.cifs is not installed");
    assert.equal(await text({}), undefined);
  });

  it("a mount.cifs without its setuid bit is reported", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("CORE");
    await writeFile(bench.standIns.fstab, `//tb.test/CORE ${share.mountPath} cifs user 0 0\n`);
    await bench.standIns.answer({
      exitCode: 1,
      says: 'This program is not installed setuid root -  "user" CIFS mounts not supported.\n',
    });
    const failed = failure(await bench.fresh(asUser).mount(share, "tb", limits()));
    assert.equal(failed.reason, "driver_unavailable");
    assert.match(failed.text, /setuid bit/);
  });
});

describe("driver cifs as a user, relayed", { skip: skip ?? false }, () => {
  const through = { port: 24_450, patienceMs: 60_000 };
  const asUser = { userId: 1000 };

  it("A10 a user's one line of fstab is mounted by its path, through its own port", async (t) => {
    const bench = await startBench(t);
    const share = bench.share("My Share");
    const lacking = await bench.fresh(asUser).missingRequirement(share);
    const line = /in \/etc\/fstab: (\/\/.* cifs [^ ]+ 0 0),/.exec(lacking?.hint ?? "")?.[1];
    assert.ok(line !== undefined, lacking?.hint ?? "no hint");
    assert.match(line, /cifs users,noauto,port=\d+,hard,nosharesock,echo_interval=21,username=ann /);
    // What is recommended is what works.
    await writeFile(bench.standIns.fstab, `${line}\n`);
    const driver = bench.fresh(asUser);
    assert.equal(await driver.missingRequirement(share), null);
    assert.ok(driver.relaying);
    assert.equal(await driver.relaying.refusal?.(share), null);
    const port = (await driver.relaying.fixedPort?.(share)) ?? 0;
    assert.ok(port > 1023 && port < 32_768, "below the ports that the system gives to others");
    const outcome = await driver.mount(share, "fallback", limits(), { ...through, port });
    assert.ok(outcome.ok);
    assert.deepEqual([outcome.mount.relayPort, outcome.mount.route], [port, "tb"]);
    const [call] = await bench.standIns.calls();
    assert.deepEqual([call?.args, call?.password], [["--", share.mountPath], "s3cret, too"]);
    assert.deepEqual(await driver.unmount(share, outcome.mount, "plain", limits()), { ok: true });
    const perRoute = failure(await driver.mount(share, "tb", limits()));
    assert.match(perRoute.text, /is for a relayed mount/);
    const elsewhere = failure(await driver.mount(share, "tb", limits(), { ...through, port: port + 1 }));
    assert.equal(elsewhere.reason, "driver_unavailable");
  });

  for (const [what, source, options, says] of [
    ["no `hard`", "//127.0.0.1/CORE", "users,port=24450", /lacks `hard`/],
    ["`soft` behind `hard`", "//127.0.0.1/CORE", "users,port=24450,hard,soft", /lacks `hard`/],
    ["no port", "//127.0.0.1/CORE", "users,hard", /no line/],
    ["another share", "//127.0.0.1/OTHER", "users,port=24450,hard", /no line/],
    ["a folder of the share", "//127.0.0.1/CORE/sub", "users,port=24450,hard", /no line/],
    ["the server's name", "//tb.test/CORE", "users,ip=127.0.0.1,port=24450,hard", /looks up again/],
    ["no right for users", "//127.0.0.1/CORE", "port=24450,hard", /lets a user mount/],
  ] as const) {
    it(`A10 a line with ${what} cannot be relayed, and the reason is reported`, async (t) => {
      const bench = await startBench(t);
      const share = bench.share("CORE");
      await writeFile(bench.standIns.fstab, `${source} ${share.mountPath} cifs ${options} 0 0\n`);
      const driver = bench.fresh(asUser);
      assert.ok(driver.relaying);
      const refusal = await driver.relaying.refusal?.(share);
      assert.match(`${refusal?.text}; ${refusal?.hint}`, says);
      assert.match(refusal?.hint ?? "", /echo_interval=21,username=ann /, "with the account that it lacks");
      const failed = failure(await driver.mount(share, "tb", limits(), through));
      assert.deepEqual([failed.reason, (await bench.standIns.calls()).length], ["driver_unavailable", 0]);
    });
  }

  for (const [what, options, file, account] of [
    ["its file", "credentials=FILE", "username=bob\n password=a, b=c \n", ["bob", "a, b=c "]],
    ["its file, with a domain", "cred=FILE", "user=bob\ndomain=HOME\npass=x\n", ["HOME\\bob", "x"]],
    ["its own words", "username=bob,password=x", "", ["bob", "x"]],
    ["its own name and a file's password", "username=bob,credentials=FILE", "password=x\n", ["bob", "x"]],
    ["its own name alone", "username=bob", "", null],
    ["that it is nobody", "guest", "", ["", null]],
    ["not who it is", "", "", null],
    ["a ticket", "sec=krb5,username=bob,password=x", "", null],
    ["a file that is not there", "credentials=FILE.none", "", null],
  ] as const) {
    it(`A10 the server is contacted as the user in the line of fstab: ${what}`, async (t) => {
      const bench = await startBench(t);
      const share = bench.share("CORE");
      const credentials = join(bench.folder, "nas");
      await writeFile(credentials, file);
      const words = `users,port=24450,hard,${options.replace("FILE", credentials)}`;
      await writeFile(bench.standIns.fstab, `//127.0.0.1/CORE ${share.mountPath} cifs ${words} 0 0\n`);
      const { relaying } = bench.fresh(asUser);
      assert.ok(relaying);
      const found = (await relaying.account?.(share)) ?? null;
      assert.deepEqual(found === null ? null : [found.username, found.password], account);
      const ofRoot = bench.fresh().relaying;
      assert.ok(ofRoot);
      assert.equal(await ofRoot.account?.(share), null, "root's is the configuration's");
      assert.equal(await ofRoot.fixedPort?.(share), null, "and any port will do");
    });
  }
});

describe("an fstab", () => {
  it("lists its SMB shares, with blanks, comments, tabs and lines cut short", () => {
    const entries = parseFstab(
      [
        "# //nas/no /mnt/no cifs user 0 0",
        "#//nas/no /mnt/no cifs user 0 0",
        "",
        "UUID=1-2 / ext4 defaults 0 1",
        "  //nas/my\\040share\t/mnt/my\\040share/  cifs \t user,credentials=/etc/nas,port=4450 0 0",
        "//nas/b /mnt/b smb3",
        "//nas/c",
        "\\\\134\\134nas\\134d /mnt/d cifs users,nouser",
        "//nas/e /mnt/e cifs nouser,users,guest",
      ].join("\n"),
    );
    assert.deepEqual(pluck(entries, "source", "path", "forUsers", "hasCredentials"), [
      ["//nas/my share", "/mnt/my share", true, true],
      ["//nas/b", "/mnt/b", false, false],
      ["\\\\\\nas\\d", "/mnt/d", false, false],
      ["//nas/e", "/mnt/e", true, true],
    ]);
    assert.deepEqual(entries[0]?.options, ["user", "credentials=/etc/nas", "port=4450"]);
  });

  it("marks relayed mounts by this machine's address and the last port", () => {
    const carriedPort = (source: string, options: string) =>
      parseFstab(`${source} /mnt/a cifs ${options} 0 0`)[0]?.relayPort;
    assert.equal(carriedPort("//127.0.0.1/a", "port=24450"), 24_450);
    assert.equal(carriedPort("//127.0.0.1/a", "port=1,hard,port=24450"), 24_450);
    assert.equal(carriedPort("//127.0.0.1/a", "hard"), null);
    assert.equal(carriedPort("//127.0.0.1/a", "port=x"), null);
    assert.equal(
      carriedPort("//nas/a", "ip=127.0.0.1,port=24450"),
      null,
      "the kernel looks the name up again",
    );
  });

  it("reads a generated line as intended", () => {
    const line = fstabLine("//nas/my share", "/mnt/my\tshare", ["users", "username=ann\\b"]);
    const [entry] = parseFstab(line);
    assert.deepEqual(
      [entry?.source, entry?.path, entry?.options],
      ["//nas/my share", "/mnt/my\tshare", ["users", "username=ann\\b"]],
    );
    assert.equal(line.split(" ").length, 6);
  });
});

const route = routeTo("nas.test", { port: 4450 });
const share = shareSpec({
  shareName: "core",
  password: "s3cret",
  driver: "cifs",
  routes: { tb: route, fallback: route },
});
const owner = { uid: 1000, gid: 100 };

describe("the kernel's options", () => {
  it("A10 bind a relayed mount to this machine's port only, and let it wait", () => {
    const options = cifsOptions({
      share,
      route,
      address: "10.0.0.1",
      owner,
      relay: { port: 24_450, patienceMs: 60_000 },
    }).split(",");
    const keys = options.map((option) => option.replace(/=.*/, ""));
    assert.deepEqual(
      options.filter((option) => /^(ip|addr|port|hard|soft|echo_interval|nodfs)(=|$)/.test(option)),
      ["port=24450", "hard", "echo_interval=21", "nodfs"],
    );
    assert.equal(new Set(keys).size, keys.length, "none twice");
    assert.ok(!options.some((option) => /multichannel|max_channels/.test(option)));
  });

  it("lead a different mount to its host, and let it fail", () => {
    const options = cifsOptions({ share, route, address: "10.0.0.1", owner, relay: null }).split(",");
    assert.deepEqual(
      options.filter((option) => /^(ip|addr|port|hard|soft|echo_interval|nodfs)(=|$)/.test(option)),
      ["ip=10.0.0.1", "port=4450", "soft", "echo_interval=5"],
    );
  });

  it("contain no name or password that they would cut", () => {
    assert.match(unspeakable({ username: "a,b", password: "x" }) ?? "", /comma/);
    assert.match(unspeakable({ username: "ann", password: "x\0" }) ?? "", /NUL/);
    assert.equal(unspeakable({ username: "a,b", password: null }), null, "a guest has no name");
    assert.equal(unspeakable({ username: "ann", password: "x,y" }), null);
  });

  it("A10 probe a silent server so rarely that the kernel waits longer than the relay", () => {
    for (const patienceMs of [0, 1_000, 15_000, 45_000, 59_999, 60_000, 60_001, 600_000, 1_799_000]) {
      const intervalS = relayEchoIntervalS(patienceMs);
      assert.ok(intervalS * 3_000 > patienceMs, `${intervalS} s for ${patienceMs} ms`);
      assert.ok(Number.isInteger(intervalS) && intervalS >= 5 && intervalS <= 600);
    }
    assert.equal(relayEchoIntervalS(60_000), 21);
    assert.equal(relayEchoIntervalS(86_400_000), 600, "the kernel takes no more");
  });
});
