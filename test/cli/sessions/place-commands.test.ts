// The commands about aliases, favorites and folders as processes: with a daemon and without, and where a share hangs.
import assert from "node:assert/strict";
import { lstat, mkdir, readFile, readlink, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { missingForFuse, mountLocalFuse } from "../../rig/local-fuse-mount.ts";
import { type CommandEnd, createTestHome, type TestHome } from "../../support/daemon.ts";
import { ends } from "../../support/ends.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { runCommand, runProcess } from "../command-line.ts";

const SETTLES_MS = 15_000;

/** A line of words without spaces, and words of any kind. */
type Words = readonly [line: string, ...more: readonly string[]];

type Scene = Awaited<ReturnType<typeof scene>>;

/** A home with the local share CORE (folders Docs/2026 and Film), not mounted yet; `extra` is appended. */
async function scene(t: TestContext, extra = "") {
  const folder = await temporaryFolder(t);
  for (const path of ["tb/Docs/2026", "tb/Film", "fb", "two-tb/Inside", "two-fb"])
    await mkdir(join(folder, path), { recursive: true });
  const home = await createTestHome({
    home: join(folder, "home"),
    env: { HOME: folder },
    config: `# mine
[global]
shares_root = "${folder}/Shares"
mount_root = "${folder}/volumes"
check_interval_secs = 0.2

[[shares]]
name = "CORE"
thunderbolt_path = "${folder}/tb"
fallback_path = "${folder}/fb"
${extra}`,
  });
  const cli = ([line, ...more]: Words) => home.cli([...line.split(" "), ...more]);
  const said = ({ code, stdout, stderr }: CommandEnd): string => `${code}\n${stdout}\n${stderr}`;
  return {
    folder,
    home,
    /** Ends with exit code 0, and says nothing on stderr. */
    async ok(...words: Words) {
      const end = await cli(words);
      assert.deepEqual([end.code, end.stderr], [0, ""], said(end));
      return end.stdout;
    },
    /** Ends with that exit code; resolves with its stderr. */
    async fails(code: number, ...words: Words) {
      const end = await cli(words);
      assert.equal(end.code, code, said(end));
      return end.stderr;
    },
    json: async (...words: Words) => JSON.parse((await cli([...words, "--json"])).stdout),
    shares: (name: string) => join(folder, "Shares", name),
    config: () => readFile(home.configFile, "utf8"),
  };
}

/** On a busy machine a look may come late, and the mount with it. */
async function mounted(home: TestHome): Promise<void> {
  await eventually(async () => (await home.cli(["mount"])).code === 0, 60_000);
}

async function target(path: string): Promise<string | null> {
  return readlink(path).catch(() => null);
}

/** The same with a daemon and without one. */
async function inBothStates(
  t: TestContext,
  story: (made: Scene) => Promise<void>,
  extra = "",
): Promise<void> {
  await t.test("with a daemon", async (inner) => {
    const made = await scene(inner, extra);
    await using _monitor = await made.home.startMonitor();
    await story(made);
  });
  await t.test("without one", async (inner) => story(await scene(inner, extra)));
}

const ADD: Words = ["alias add --name docs --share CORE --target-subpath Docs/2026"];

describe("alias", { concurrency: 2 }, () => {
  test("Paths add returns when the link exists, remove when it is gone, and the file agrees", async (t) => {
    await inBothStates(t, async ({ home, ok, json, shares, config, fails }) => {
      assert.equal("aliases" in (await home.status()), false, "nothing is shown of what nobody has");
      const before = await config();
      const link = shares("Links/docs");
      assert.match(await ok(...ADD), /✓ docs {2}CORE\/Docs\/2026 {2}.*Links\/docs\n/);
      assert.equal(await target(link), shares("CORE/Docs/2026"));
      const entry = '\n[[aliases]]\nname = "docs"\nshare = "CORE"\ntarget_subpath = "Docs/2026"\n';
      assert.equal(await config(), `${before}${entry}`, "every other byte is kept");
      const alias = {
        name: "docs",
        share: "CORE",
        target_subpath: "Docs/2026",
        path: link,
        target: shares("CORE/Docs/2026"),
        link: "right",
        detail: null,
      };
      // A look at a link that is late, on a busy machine, says so.
      await eventually(async () => {
        assert.deepEqual(await json("alias list"), { aliases: [alias] }, "pin: alias list --json");
        return true;
      });
      assert.deepEqual(
        await json(...ADD),
        { changed: false, alias },
        "pin: alias add --json, the same again",
      );
      assert.deepEqual((await home.status()).aliases, [alias]);
      await unlink(link);
      await ok("reconcile");
      await eventually(async () => (await target(link)) === alias.target);
      assert.equal(await target(link), alias.target);
      assert.match(await fails(2, "alias remove --name dcos"), /did you mean docs\?/);
      assert.deepEqual(await json("alias remove --name DOCS"), {
        name: "docs",
        path: link,
        kept: false,
      });
      assert.equal(await target(link), null);
      assert.equal((await config()).includes("aliases"), false);
      assert.match(await fails(0, "alias list"), /no alias is configured/);
    });
  });

  test("Paths --alias-path is relative to the current folder, and an existing file there is never touched", async (t) => {
    await inBothStates(t, async ({ folder, ok, json, fails, home, config }) => {
      const path = join(folder, "desk", "film");
      assert.ok(await ok("alias add --name f --share core --target-subpath Film --alias-path", path));
      assert.equal(await target(path), join(folder, "Shares/CORE/Film"));
      const taken = join(folder, "taken");
      await writeFile(taken, "mine");
      const args = [
        "alias",
        "add",
        "--name",
        "t",
        "--share",
        "CORE",
        "--target-subpath",
        "x",
        "--alias-path",
        taken,
      ];
      await ends(home.cli(args), 1, /✗ t .*\n {4}.*is a file; it is left as it is/);
      assert.equal(await readFile(taken, "utf8"), "mine");
      assert.ok((await config()).includes('name = "t"'), "saved all the same");
      assert.deepEqual(await json("alias remove --name t"), { name: "t", path: taken, kept: true });
      assert.equal(await readFile(taken, "utf8"), "mine");
      assert.match(
        await fails(3, ...ADD, "--alias-path", join(folder, "Shares/CORE/x")),
        /inside the link of share/,
      );
    });
  });

  test("an impossible alias is refused before anything is written, with the name probably meant", async (t) => {
    await inBothStates(t, async ({ ok, fails, config }) => {
      await ok(...ADD);
      const before = await config();
      const add = (name: string, share: string, subpath: string): Words => [
        "alias add --name",
        ...[name, "--share", share, "--target-subpath", subpath],
      ];
      assert.match(await fails(2, ...add("x", "COER", "a")), /did you mean CORE\?/);
      assert.match(await fails(2, ...add("x", "CORE", "../a")), /could lead out of the share/);
      assert.match(await fails(2, ...add("x", "CORE", "/etc")), /inside the share/);
      assert.match(await fails(2, ...add("", "CORE", "a")), /--name/);
      assert.match(await fails(2, ...add("docs", "CORE", "other")), /there is an alias called docs/);
      assert.match(await fails(2, "alias add --name x"), /required option/);
      assert.equal(await config(), before);
    });
  });

  test("several at once all exist in the end, each with its link", async (t) => {
    const { home, shares, json } = await scene(t);
    await using _monitor = await home.startMonitor();
    const names = ["a", "b", "c", "d", "e"];
    const ends = await Promise.all(
      names.map((name) =>
        home.cli(["alias", "add", "--name", name, "--share", "CORE", "--target-subpath", `Docs/${name}`]),
      ),
    );
    for (const { code, stderr } of ends) assert.equal(code, 0, stderr);
    const { aliases } = (await json("alias list")) as { aliases: { name: string; link: string }[] };
    assert.deepEqual(aliases.map(({ name }) => name).toSorted(), names);
    for (const name of names)
      assert.equal(await target(shares(`Links/${name}`)), shares(`CORE/Docs/${name}`));
  });

  test("A6 an alias written into the file by hand is linked, and removing it removes its link", async (t) => {
    const { home, config, shares, folder } = await scene(
      t,
      "\n[sync]\npoll_interval = 0.1\ndebounce = 0.05\n",
    );
    await using _monitor = await home.startMonitor();
    const before = await config();
    await home.writeConfig(`${before}[[aliases]]\nname = "docs"\nshare = "CORE"\ntarget_subpath = "Docs"\n`);
    await eventually(async () => (await target(shares("Links/docs"))) === shares("CORE/Docs"));
    await home.writeConfig(
      `${before}[[aliases]]\nname = "docs"\nshare = "CORE"\ntarget_subpath = "Film"\npath = "${folder}/d"\n`,
    );
    await eventually(async () => (await target(`${folder}/d`)) === shares("CORE/Film"));
    await eventually(async () => (await target(shares("Links/docs"))) === null);
    const log = await home.log();
    assert.ok(log.some(({ message, alias }) => message === "alias.linked" && alias === "docs"));
    // The link is noted a moment after it was made.
    await eventually(async () => (await home.status()).aliases?.[0]?.link === "right");
    assert.deepEqual((await home.status()).global.conditions, []);
  });

  test("a broken configuration is reported with the error's position, and nothing is written", async (t) => {
    const { home, fails } = await scene(t);
    await home.writeConfig("[global\n");
    for (const line of [ADD[0], "alias list", "alias remove --name x", "shares list"])
      assert.match(await fails(3, line), /config\.toml:1/, line);
    assert.equal(await readFile(home.configFile, "utf8"), "[global\n");
  });
});

describe("shares", { concurrency: 2 }, () => {
  test("A6 add returns when the share is mounted; remove when mount and link are gone", async (t) => {
    await inBothStates(t, async ({ folder, home, ok, json, shares, config, fails }) => {
      const before = await config();
      const add: Words = [
        "shares add --share TWO",
        ...["--tb-path", join(folder, "two-tb"), "--fallback-path", join(folder, "two-fb")],
      ];
      assert.match(await ok(...add), /✓ TWO {2}mounted/);
      assert.equal(await target(shares("TWO")), join(folder, "volumes/TWO"));
      assert.ok((await lstat(join(shares("TWO"), "Inside"))).isDirectory());
      assert.match(await fails(2, ...add), /there is a share called TWO/);
      const { favorites } = (await json("shares list")) as { favorites: Record<string, unknown>[] };
      const [, two] = favorites;
      assert.deepEqual(Object.keys(two ?? {}), [
        ...["name", "driver", "thunderbolt", "fallback", "share_name", "username", "guest", "stable_path"],
        ...["aliases", "mount_state", "active_interface"],
      ]);
      assert.equal(two?.["stable_path"], shares("TWO"));
      const hasDaemon = (await home.glance()) !== null;
      assert.equal(two?.["mount_state"], hasDaemon ? "mounted" : null);
      const removed = await json("shares remove --share two");
      assert.deepEqual(
        [removed["removed"], removed["share"], removed["aliases"], removed["link"]],
        [...[true, "TWO", [], "removed"]],
      );
      assert.equal(await target(shares("TWO")), null);
      assert.equal(await target(join(folder, "volumes/TWO")), null);
      assert.equal(await config(), before);
      await eventually(async () => !JSON.stringify(await home.state()).includes("TWO"));
      // What it was before is not held against it.
      assert.match(await ok(...add), /✓ TWO {2}mounted/);
    });
  });

  test("remove names the aliases that lead into the share, and removes them only on request", async (t) => {
    await inBothStates(t, async ({ ok, fails, json, shares, config }) => {
      await ok(...ADD);
      const before = await config();
      assert.match(await fails(2, "shares remove --share CORE"), /alias docs leads into CORE/);
      assert.match(await fails(2, "shares remove --share COER"), /did you mean CORE\?/);
      assert.equal(await config(), before);
      const removed = await json("shares remove --share CORE --with-aliases");
      const { unmount, link, ...always } = removed;
      assert.deepEqual(
        always,
        { removed: true, runs: true, share: "CORE", aliases: ["docs"] },
        "pin: shares remove --json",
      );
      // Without a daemon it was never mounted.
      const how = link === "missing" ? /^null$/ : /"result":"unmounted"/;
      assert.match(JSON.stringify(unmount), how);
      assert.equal(await target(shares("Links/docs")), null);
      assert.ok(!/shares\]|aliases\]/.test(await config()));
      assert.match(await fails(0, "shares list"), /no share is configured/);
    });
  });

  test("remove --cleanup changes nothing while files are open", async (t) => {
    await inBothStates(t, async ({ folder, home, ok, config, shares }) => {
      await ok("mount");
      const before = await config();
      const { open } = await import("node:fs/promises");
      await using _held = await open(join(folder, "tb", "held"), "w");
      // Of its own, as nobody counts what he holds himself.
      const end = await runProcess(["shares", "remove", "--share", "CORE", "--cleanup"], { home: home.home });
      assert.equal(end.code, 7, end.stdout);
      assert.match(end.stdout, /busy/);
      assert.equal(await config(), before);
      assert.notEqual(await target(shares("CORE")), null);
    });
  });

  test("A6 remove leaves an open share mounted, explains how to unmount it, and unmount does", async (t) => {
    await inBothStates(t, async ({ folder, home, ok, fails, config, shares }) => {
      await mounted(home);
      const { open } = await import("node:fs/promises");
      const held = await open(join(folder, "tb", "held"), "w");
      const end = await runProcess(["shares", "remove", "--share", "CORE"], { home: home.home });
      assert.equal(end.code, 0, end.stderr);
      assert.match(end.stdout, /CORE {2}busy[\s\S]*✓ CORE is removed/);
      assert.match(end.stderr, /it stays mounted until: mountaineer unmount --share CORE$/m);
      assert.doesNotMatch(await config(), /shares\]/);
      const { global } = await home.status();
      const [left] = global.conditions.filter(({ code }) => code === "left_mounted:CORE");
      assert.match(left?.title ?? "", /^CORE is no longer configured; still mounted at \S+volumes\/CORE$/);
      await ends(runProcess(["unmount", "--share", "CORE"], { home: home.home }), 7);
      assert.notEqual(await target(shares("CORE")), null);
      await held.close();
      assert.match(await ok("unmount"), /✓ CORE {2}unmounted/);
      assert.deepEqual(
        [await target(shares("CORE")), await target(join(folder, "volumes/CORE"))],
        [null, null],
      );
      assert.match(await fails(2, "unmount --share CORE"), /there is no share named "CORE"/);
    });
  });

  test("Paths the link of a share that was removed from the file stays while it is not mounted, until a purge", async (t) => {
    await inBothStates(t, async ({ home, ok, fails, config, shares }) => {
      await mounted(home);
      await ok("unmount");
      await home.writeConfig((await config()).replace(/\[\[shares\]\][\s\S]*/, ""));
      await eventually(async () => (await home.status()).shares.length === 0, 60_000);
      assert.match(await fails(2, "unmount --share CORE"), /there is no share named "CORE"/);
      assert.notEqual(await target(shares("CORE")), null);
      await fails(0, "uninstall --purge --yes");
      assert.equal(await target(shares("CORE")), null);
    });
  });

  test("A7 a command that is run inside of the share does not keep it busy", async (t) => {
    await inBothStates(t, async ({ folder, home, ok }) => {
      await ok("mount");
      const inside = { home: home.home, cwd: join(folder, "tb") };
      for (const args of [["unmount"], ["mount"], ["shares", "remove", "--cleanup"]]) {
        await ends(runCommand([...args, "--share", "CORE"], inside), 0, null, "");
      }
    });
  });

  test("a share whose hosts do not answer is saved, and reported as not mounted", async (t) => {
    await inBothStates(t, async ({ home, config }) => {
      const end = await home.cli([
        ...["shares", "add", "--share", "NAS", "--tb-host", "127.0.0.1:1", "--fallback-host", "127.0.0.2:1"],
        ...["--username", "ann", "--password", "${NAS_PASSWORD}", "--remote-share", "data"],
      ]);
      assert.equal(end.code, 1);
      assert.match(end.stdout, /✗ NAS/);
      assert.match(end.stderr, /the share is saved although it is not mounted/);
      assert.match(
        await config(),
        /name = "NAS"\nthunderbolt_host = "127\.0\.0\.1:1"[\s\S]*share_name = "data"/,
      );
    });
  });

  test("a share on a NAS of the file needs only its name, and the NAS's where there are several", async (t) => {
    await inBothStates(t, async ({ home, config, fails, ok }) => {
      const add = async (...words: string[]) => (await home.cli(["shares", "add", "--share", ...words])).code;
      const begun = await config();
      await ok("config set nas.home.fallback_host 127.0.0.1:1");
      assert.equal(await add("NAS", "--remote-share", "data"), 1, "saved, and not mounted");
      assert.match(await config(), /name = "NAS"\nnas = "home"\nshare_name = "data"\n/);
      await ok("config set nas.attic.fallback_host 127.0.0.2:1");
      const several = await fails(2, "shares add --share MORE");
      assert.match(several, /there are several NAS: home, attic[\s\S]*shares add --share MORE --nas home/);
      assert.equal(await add("MORE", "--nas", "attic"), 1);
      assert.match(await config(), /name = "MORE"\nnas = "attic"\n/);
      assert.match(await fails(3, "shares add --share LAST --nas atic"), /did you mean "attic"\?/);
      await fails(3, "shares add --share LAST --nas attic --tb-host 10.0.0.1");
      const inUse = await fails(3, "config unset nas.attic");
      assert.match(inUse, /"attic", the NAS of share "MORE", which is not in this file/);
      for (const name of ["NAS", "MORE"]) await ok("shares remove --share", name);
      for (const name of ["home", "attic"]) {
        assert.match(await ok(`config unset nas.${name}`), new RegExp(`nas\\.${name} is removed`));
      }
      assert.equal((await config()).trimEnd(), begun.trimEnd());
    });
  });

  test("a plain password is refused, and never shown", async (t) => {
    const { fails, config } = await scene(t);
    const before = await config();
    const args = ["--tb-host", "a", "--fallback-host", "b", "--password", "hunter2"];
    const said = await fails(3, "shares add --share NAS", ...args);
    assert.ok(!said.includes("hunter2") && /password/.test(said), said);
    assert.match(await fails(3, "shares add --share Links", ...args), /any name but Links/);
    assert.match(await fails(3, "shares add --share X --username ann"), /fallback_host/);
    assert.match(await fails(2, "shares add"), /--share names the share/);
    assert.equal(await config(), before);
  });
});

describe("a share that hangs", { concurrency: 2 }, () => {
  test("A2 a share that hangs is answered with an error within its deadline, and so is everything else", {
    skip: missingForFuse() ?? false,
  }, async (t) => {
    const folder = await temporaryFolder(t);
    await using fuse = await mountLocalFuse(folder);
    await mkdir(join(fuse.path, "tb", "Docs"), { recursive: true });
    await mkdir(join(fuse.path, "fb"), { recursive: true });
    const home = await createTestHome({
      home: join(folder, "home"),
      config: `[global]
shares_root = "${folder}/Shares"
mount_root = "${folder}/volumes"
check_interval_secs = 0.3
[[shares]]
name = "CORE"
thunderbolt_path = "${fuse.path}/tb"
fallback_path = "${fuse.path}/fb"
[[aliases]]
name = "docs"
share = "CORE"
target_subpath = "Docs"
`,
    });
    const link = join(folder, "Shares", "Links", "docs");
    {
      await using _monitor = await home.startMonitor();
      await home.untilShare("CORE", ({ mount_alive }) => mount_alive, SETTLES_MS);
      await fuse.hang();
      // Every command below ends while the share still hangs.
      try {
        await unlink(link);
        await eventually(async () => (await target(link)) !== null);
        for (const args of [["alias", "list"], ["shares", "list"], ["logs"]]) {
          const end = await home.cli(args);
          assert.equal(end.code, 0, `${args.join(" ")}: ${end.stderr}`);
        }
      } finally {
        fuse.goOn();
      }
    }
    await fuse.hang();
    try {
      assert.equal((await home.cli(["alias", "list"])).code, 0);
      const remove = ["shares", "remove", "--share", "CORE", "--with-aliases", "--cleanup"];
      const removed = await home.cli(remove);
      assert.ok(
        [0, 1, 7].includes(removed.code ?? -1),
        `${removed.code} ${removed.stdout} ${removed.stderr}`,
      );
    } finally {
      fuse.goOn();
    }
  });
});
