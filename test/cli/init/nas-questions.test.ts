// The questions about a NAS, answered in process: what is asked, where a login goes, and that nothing typed is lost.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomFrom } from "../../lab/random.ts";
import { CORE, inTurn, Net, ROGUE, SAME, server, talk, VAULT } from "./nas-scene.ts";

describe("F3 a NAS at a terminal", () => {
  test("a NAS with one cable: number, name, password, share, and nothing more about it", async () => {
    const net = new Net();
    const { choices, told } = await talk(net, [CORE, VAULT], inTurn("1", "ann", "right", "2", ""));
    assert.deepEqual(choices, {
      shares: [
        {
          ...{ name: "media", nas: "CORE", shareName: null, tbHost: "10.0.1.2", fallbackHost: null },
          ...{ username: "ann", password: "secret:media", onlyOn: [] },
        },
      ],
      secrets: [{ name: "media", value: "right" }],
      backends: [],
    });
    assert.deepEqual(net.logins, ["10.0.1.2"]);
    assert.equal(told[0], "  1  CORE  10.0.1.2  tb0, Thunderbolt bridge, 40 Gbit/s  advertises SMB");
  });

  test("its networks are offered, its second cable asked for before, confirmed with one key, and skipped with a no", async () => {
    const net = new Net();
    net.networks = ["subnet:10.0.1.0/24", "gateway:aa:bb:cc:dd:ee:ff"];
    const kept = await talk(net, [CORE], inTurn("1", "ann", "right", "1", "", "", ""));
    assert.deepEqual(kept.asked.slice(4, 6), [
      "Its address over a second cable, which also gets this login (empty: none): ",
      "Only connect to the NAS from these networks (10.0.1.0/24)? Say n if you also use it elsewhere. [Y/n] ",
    ]);
    assert.deepEqual(kept.choices.shares[0]?.onlyOn, ["subnet:10.0.1.0/24"]);
    const both = await talk(net, [CORE, SAME], inTurn("1", "ann", "right", "1", "y", "what?", "y", ""));
    assert.deepEqual(both.choices.shares[0]?.onlyOn, net.networks);
    assert.ok(both.asked.some((question) => question.startsWith("  Type y or n. Only connect")));
    const typed = await talk(net, [CORE], inTurn("1", "ann", "right", "1", "10.0.1.2", "10.0.3.2", "", ""));
    assert.ok(typed.told.includes("  that is its first address"));
    assert.deepEqual([typed.choices.shares[0]?.onlyOn, net.paired.at(-1)], [net.networks, "10.0.3.2"]);
    const everywhere = await talk(net, [CORE], inTurn("1", "ann", "right", "1", "", "n", ""));
    assert.deepEqual(everywhere.choices.shares[0]?.onlyOn, []);
    assert.ok(everywhere.told.some((line) => line.includes("mountaineer-fs: no root")));
  });

  test("one that does not answer is woken if the person wants it; otherwise, or if it stays silent, another is asked for", async () => {
    const net = new Net();
    net.asleep = [CORE.address, VAULT.address];
    const answers = inTurn("1", "n", "2", "y", "1", "", "ann", "right", "1", "");
    const { choices, told } = await talk(net, [CORE, VAULT], answers);
    assert.deepEqual(net.woken, [VAULT.address, CORE.address]);
    assert.equal(choices.shares[0]?.tbHost, CORE.address);
    assert.ok(told.includes(`  ${VAULT.address}: no answer`));
  });

  test("nothing is preselected: no answer selects no share, and no login is sent", async () => {
    const net = new Net();
    const { choices } = await talk(net, [CORE, VAULT], inTurn("", ""));
    assert.deepEqual([choices.shares, net.logins], [[], []]);
  });

  test("another address of that name gets the login only with the person's consent, and not if it is another server", async () => {
    const net = new Net();
    const unasked = await talk(net, [CORE, ROGUE], inTurn("1", "ann", "right", "1", "", "n", ""));
    assert.deepEqual([net.logins, net.paired], [["10.0.1.2"], []]);
    assert.deepEqual(unasked.choices.shares[0]?.fallbackHost, null);
    const { choices, told } = await talk(
      net,
      [CORE, ROGUE, SAME],
      inTurn("1", "ann", "right", "1", "y", "n", "y", ""),
    );
    assert.deepEqual(net.paired, ["10.0.2.66", "10.0.2.2"]);
    assert.ok(told.includes("  it is another server: their ids differ"));
    const [share] = choices.shares;
    assert.deepEqual([share?.tbHost, share?.fallbackHost], ["10.0.1.2", "10.0.2.2"]);
  });

  test("one that is another server by what it answers without a login is named, and no question asks about it", async () => {
    const net = new Net();
    net.others = [ROGUE.address];
    const { asked, told, choices } = await talk(
      net,
      [CORE, ROGUE, SAME],
      inTurn("1", "ann", "right", "1", "y", ""),
    );
    assert.ok(told.includes("  CORE also answers at 10.0.2.66: another server, with another ServerGuid"));
    assert.equal(
      asked[4],
      "Is 10.0.2.2 (CORE, eth0, Ethernet, 1 Gbit/s) the same NAS? It then also gets this login. [y/n, or another address]: ",
    );
    assert.deepEqual([choices.shares[0]?.fallbackHost, net.paired], ["10.0.2.2", ["10.0.2.2"]]);
  });

  test("an address that is not proved is stored only after a yes, and asked for again after Enter", async () => {
    const net = new Net();
    net.verdict = { kind: "unproved", text: "10.0.2.2: no answer" };
    const answers = inTurn("1", "ann", "right", "1", "y", "", "10.0.2.2", "n", "y", "y", "");
    const { choices, told } = await talk(net, [CORE, SAME], answers);
    assert.equal(net.paired.length, 3);
    assert.ok(told.includes("  not proved to be the same NAS: 10.0.2.2: no answer"));
    assert.equal(choices.shares[0]?.fallbackHost, "10.0.2.2");
  });

  test("the faster cable is the preferred route, whichever was chosen first, and each link is shown", async () => {
    const { choices, told } = await talk(new Net(), [SAME, CORE], inTurn("1", "ann", "right", "1", "y", ""));
    const [share] = choices.shares;
    assert.deepEqual([share?.tbHost, share?.fallbackHost], ["10.0.1.2", "10.0.2.2"]);
    assert.deepEqual(told.slice(-3, -1), [
      "  10.0.1.2  tb0, Thunderbolt bridge, 40 Gbit/s  preferred: used whenever it answers",
      "  10.0.2.2  eth0, Ethernet, 1 Gbit/s  used while the other does not answer",
    ]);
  });

  const wired = (device: string, speed: number | null) =>
    ({ device, kind: "wired", text: "Ethernet", speed }) as const;
  const wifi = { device: "wlan0", kind: "wifi", text: "Wi-Fi", speed: null } as const;
  const tunnel = { device: "wg0", kind: "tunnel", text: "tunnel", speed: null } as const;
  const unknown = { device: "br0", kind: "unknown", text: "unknown link", speed: null } as const;
  for (const [first, second, expected] of [
    [wired("eth0", 1000), wired("eth1", 10_000), "second"],
    [wifi, unknown, "second"],
    [unknown, wired("eth0", null), "second"],
    [tunnel, wifi, "second"],
    [wired("eth0", 1000), wifi, "first"],
    [wired("eth0", 1000), wired("eth1", 1000), "asked"],
    [wired("eth0", 1000), wired("eth1", null), "asked"],
    [wired("eth0", 1000), wired("eth0", 1000), "asked"],
    [null, null, "asked"],
  ] as const) {
    test(`of typed addresses over ${first?.device ?? "?"} and ${second?.device ?? "?"}: ${expected}`, async () => {
      const net = new Net();
      net.networks = ["subnet:10.0.1.0/24"];
      net.links = { "10.0.8.1": first, "10.0.9.1": second };
      for (const answer of ["y", "n"]) {
        const routes = expected === "asked" ? [answer] : [];
        const answers = inTurn("10.0.8.1", "ann", "right", "1", "10.0.9.1", ...routes, "n", "");
        const { choices, asked } = await talk(net, [], answers);
        const isFirst = expected === "first" || (expected === "asked" && answer === "y");
        assert.equal(choices.shares[0]?.tbHost, isFirst ? "10.0.8.1" : "10.0.9.1");
        assert.equal(
          asked.some((question) => /unknown which is faster.*used whenever it answers/.test(question)),
          expected === "asked",
        );
      }
    });
  }

  test("the slow address is typed: a found address on another link that may be the same NAS is offered, and is preferred", async () => {
    const net = new Net();
    net.links = { "10.0.8.1": wifi };
    net.others = [VAULT.address];
    const answers = inTurn("10.0.8.1", "ann", "right", "1", "y", "");
    const { choices, asked } = await talk(net, [VAULT, CORE], answers);
    assert.match(
      asked[4] ?? "",
      /^Is 10\.0\.1\.2 \(CORE, tb0, Thunderbolt bridge, 40 Gbit\/s\) the same NAS\?/,
    );
    const [share] = choices.shares;
    assert.deepEqual([share?.nas, share?.tbHost, share?.fallbackHost], ["CORE", "10.0.1.2", "10.0.8.1"]);
  });

  test("an address that is typed, several shares with one secret, and a name that cannot be one here", async () => {
    const taken = ({ name }: { readonly name: string }): Promise<string | null> =>
      Promise.resolve(name === "core" ? "there is one of that name" : null);
    const answers = inTurn("10.0.9.9:4450", "ann", "right", "1, 2", "mine", "");
    const { choices, told } = await talk(new Net(), [], answers, { mayBeCalled: taken });
    assert.deepEqual(
      choices.shares.map(({ name, shareName, fallbackHost, password }) => [
        name,
        shareName,
        fallbackHost,
        password,
      ]),
      [
        ["mine", "core", "10.0.9.9:4450", "secret:core"],
        ["media", null, "10.0.9.9:4450", "secret:core"],
      ],
    );
    assert.ok(told.includes("  core: there is one of that name"));
  });

  test("a server that lists no shares: its share is typed, or another login is tried", async () => {
    const net = new Net();
    net.shares = [];
    const answers = inTurn("1", "ann", "right", "", "", "right", "a/b", "hidden$", "");
    const { choices, told } = await talk(net, [CORE], answers);
    assert.equal(choices.shares[0]?.name, "hidden$");
    assert.ok(told.includes("  10.0.1.2 lists no shares"));
  });

  test("with a client of MCP servers and no NAS nothing is asked about a NAS, and with a NAS nothing about servers", async () => {
    const hasClient = { hasClient: true };
    const of = async (servers: (typeof CORE)[], ...answers: string[]) =>
      (await talk(new Net(), servers, inTurn(...answers), hasClient)).asked.map((each) => each.slice(0, 13));
    assert.deepEqual(await of([], ""), ["An MCP server"]);
    const asked = await of([CORE], "1", "ann", "right", "1", "n", "");
    assert.equal(asked[0]?.slice(0, 9), "Which one");
    assert.ok(!asked.includes("An MCP server"));
  });

  test("names that servers give themselves do not control the terminal", async () => {
    const { told } = await talk(new Net(), [server("x\u001b[2J", "10.0.1.3")], inTurn("", ""));
    assert.equal(told.join("").includes("\u001b"), false);
  });

  for (const seed of [1, 2, 3]) {
    test(`30 wrong answers, drawn by seed ${seed} over all questions: each is asked again in its place, and no input is lost`, async () => {
      const random = randomFrom(seed);
      const net = new Net();
      const right: readonly (readonly [RegExp, string, readonly string[]])[] = [
        [/^Which one\?/, "1", ["9", "0", "smb://nas", "a b", "nas.local", "10.0.0.300", "x@y", "//"]],
        [/^Your name/, "ann", ["\u0007", "${ANN}", "x".repeat(300)]],
        [/^Password/, "right", ["wrong", "Right", " right"]],
        [/^Which to keep/, "1 2", ["", "7", "none", "1 9", "core media", ","]],
        [/^Is 10.0.2.66/, "n", ["5", "no!", "2", "smb://", "y", ""]],
        [/^Is 10.0.2.2/, "y", ["5", "no!", "2", "smb://", ""]],
      ];
      let wrongLeft = 30;
      const answer = (question: string): string => {
        const [, rightAnswer = "", wrong = []] =
          right.find(([begins]) => begins.test(question)) ?? assert.fail(question);
        if (wrongLeft > 0 && random() < 0.8) {
          wrongLeft--;
          return wrong[Math.floor(random() * wrong.length)] ?? "";
        }
        return rightAnswer;
      };
      const { choices } = await talk(net, [CORE, SAME, ROGUE], answer);
      assert.deepEqual(
        choices.shares.map(({ name, username, tbHost, fallbackHost }) => [
          name,
          username,
          tbHost,
          fallbackHost,
        ]),
        ["core", "media"].map((name) => [name, "ann", "10.0.1.2", "10.0.2.2"]),
      );
      assert.deepEqual(choices.secrets, [{ name: "core", value: "right" }]);
      assert.deepEqual(choices.backends, [], "nothing is asked about servers");
      assert.deepEqual(
        [...new Set(net.logins)],
        ["10.0.1.2"],
        "the login went to the address that was chosen",
      );
    });
  }
});
