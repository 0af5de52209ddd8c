// The picture of Home as data: this machine, its connections, and where each thing and each wire is drawn. Pure.
import type { BackendStatus, ShareStatus, StatusReport } from "../../../api/contract/contract.ts";
import type { FleetReport } from "../../../api/contract/fleet.ts";
import { backendLabel, statesText } from "../../../api/labels/backend-labels.ts";
import { machineTrouble, presenceLabel, presenceText } from "../../../api/labels/fleet-labels.ts";
import { type Tone, worseTone } from "../../../api/labels/label.ts";
import { cableText, secondBestHint, shareLabel } from "../../../api/labels/share-labels.ts";
import { LEAST_RATE } from "../../../api/labels/traffic-labels.ts";
import { bytesText, pluralize } from "../../../runtime/text/plain-text.ts";
import { type Flow, rateOf } from "../daemon/flow.ts";
import { openedAddress } from "../parts/opened.ts";
import { shown } from "../parts/text.ts";

/** Maximum number of things drawn, by kind. */
const MOST = { nas: 4, agent: 6, server: 7, peer: 4 } as const;

/** Maximum numbers on a narrow page, where all is in one column. */
const MOST_NARROW = { nas: 2, agent: 1, server: 2, peer: 1 } as const;

type Kind = keyof typeof MOST;

export interface Thing {
  readonly id: string;
  readonly kind: Kind | "machine";
  readonly title: string;
  readonly text: string;
  /** The second line of text, which says what is wrong. */
  readonly trouble?: string;
  readonly tone: Tone;
  /** The view that a click on the thing opens: the part of the address after `#/`. */
  readonly at: string;
  /** True for a placeholder: the number of things left out, or a hint that there are none. */
  readonly isHint?: boolean;
}

export interface Wire {
  readonly id: string;
  readonly state: "used" | "ready" | "unproved" | "down" | "plain";
  readonly tone: Tone;
  /** The text above the wire. */
  readonly label: string;
  /** The text below the wire: its current traffic. */
  readonly rate: string;
  /** Times of recent calls, wall clock, ms. */
  readonly passing: readonly number[];
}

export interface Joined extends Thing {
  readonly kind: Kind;
  readonly wires: readonly Wire[];
}

export interface Picture {
  readonly machine: Thing;
  readonly joined: readonly Joined[];
}

const EXAMPLE = { tone: "plain", at: "home", text: "" } as const;
const OWN_EXAMPLE = { ...EXAMPLE, id: "machine", kind: "machine", title: "This machine" } as const;

/** `labels`: of its wires, the first one in use; "" for a wire without traffic. */
function example(kind: Kind, title: string, ...labels: readonly string[]): Joined {
  const wires = labels.map((label, at): Wire => {
    const state = label === "" ? "plain" : at === 0 ? "used" : "ready";
    return { ...wire(`${title} ${at}`), label, state };
  });
  return { ...EXAMPLE, id: title, kind, title, wires };
}

/** What each half of the program looks like once it has something. */
export const EXAMPLES: Readonly<Record<"nas" | "servers", Picture>> = {
  nas: { machine: OWN_EXAMPLE, joined: [example("nas", "Your NAS", "One cable", "The other")] },
  servers: {
    machine: OWN_EXAMPLE,
    joined: [
      example("agent", "Agents", ""),
      ...["Files", "Tickets", "Search"].map((title) => example("server", title, "")),
    ],
  },
};

interface Known {
  readonly status: StatusReport;
  readonly fleet: FleetReport | null;
  readonly flow: Flow | null;
}

export function pictureOf({ status, fleet, flow }: Known, nowMs: number, isNarrow = false): Picture {
  const { shares, gateway } = status;
  const machine: Thing = {
    ...{ id: "machine", kind: "machine", tone: "plain", at: "settings/about" },
    title: shown(fleet?.name ?? "This machine"),
    text: gateway === undefined ? pluralize(shares.length, "share") : pluralize(gateway.tools, "tool"),
  };
  const limits = isNarrow ? MOST_NARROW : MOST;
  const others = (fleet?.machines ?? []).filter(({ own }) => !own);
  return {
    machine,
    joined: [
      ...most(gateway === undefined ? [] : agents(flow), "clients", limits),
      ...most(servedBy(status, flow, nowMs), "NAS", limits),
      ...serversOf(status, flow, limits.server),
      ...most(others.map(peer), "machines", limits),
    ],
  };
}

/** The things to draw, those with trouble first, and a placeholder for the rest. */
function most(
  all: readonly Joined[],
  what: string,
  limits: Readonly<Record<Kind, number>>,
): readonly Joined[] {
  const [first] = all;
  if (first === undefined || all.length <= limits[first.kind]) return all;
  const { kind, at } = first;
  const chosen = graveFirst(all).slice(0, limits[kind] - 1);
  const others = all.filter((each) => !chosen.includes(each));
  const passing = others.flatMap(({ wires }) => wires[0]?.passing ?? []);
  const id = `more ${kind}`;
  const more: Joined = {
    ...{
      id,
      kind,
      at,
      title: chosen.length === 0 ? `${others.length} ${what}` : `${others.length} more ${what}`,
      text: "",
      tone: "plain",
      isHint: true,
    },
    wires: [wire(id, passing.toSorted((one, other) => one - other).slice(-4))],
  };
  return [...all.filter((each) => chosen.includes(each)), more];
}

function isGrave({ tone }: Thing): boolean {
  return tone === "bad" || tone === "warning";
}

function graveFirst(all: readonly Joined[]): readonly Joined[] {
  return [...all.filter(isGrave), ...all.filter((each) => !isGrave(each))];
}

function wire(id: string, passing: readonly number[] = []): Wire {
  return { id, state: "plain", tone: "plain", label: "", rate: "", passing };
}

function agents(flow: Flow | null): readonly Joined[] {
  if (flow === null) return [];
  const { clients } = flow.event;
  const common = { kind: "agent", at: "settings/clients" } as const;
  const none = { id: "no agent", title: "No client is connected", text: "Connect one" };
  if (clients.length === 0)
    return [{ ...common, ...none, tone: "plain", isHint: true, wires: [wire(none.id)] }];
  return clients.map(({ name, sessions, calls }) => {
    const id = `client ${name}`;
    const title = shown(sessions === 1 ? name : `${name} × ${sessions}`);
    const wires = [wire(id, flow.passing.get(id))];
    return { ...common, id, title, text: pluralize(calls, "call"), tone: "good", wires };
  });
}

/** The servers, or one thing that stands for all of them if they are more than `most`. */
function serversOf(status: StatusReport, flow: Flow | null, most: number): readonly Joined[] {
  const { gateway, backends = [] } = status;
  if (gateway === undefined) return [];
  const all = graveFirst(backends.map((each) => server(each, flow)));
  if (all.length <= most) return all;
  const tone = all.map((each) => each.tone).reduce(worseTone, "good");
  const passing = all.flatMap(({ wires }) => wires[0]?.passing ?? []).toSorted((one, other) => one - other);
  return [
    {
      ...{ id: "servers", kind: "server", at: "servers", tone },
      ...{ title: pluralize(all.length, "server"), text: statesText(backends) },
      wires: [{ ...wire("servers", passing.slice(-4)), tone }],
    },
  ];
}

function server(backend: BackendStatus, flow: Flow | null): Joined {
  const { name, enabled, calls } = backend;
  const { text, tone } = backendLabel(backend);
  const count = flow?.event.backends.find((each) => each.name === name)?.calls ?? calls ?? 0;
  const id = `server ${name}`;
  const state = tone === "bad" ? "down" : enabled ? "plain" : "ready";
  return {
    ...{ id, kind: "server", at: openedAddress("servers", name).slice(2), tone, title: shown(name) },
    text: shown(enabled && count > 0 ? `${text} · ${pluralize(count, "call")}` : text),
    wires: [{ ...wire(id, flow?.passing.get(id)), state, tone }],
  };
}

/** Shares at the same addresses are drawn as one NAS. */
function servedBy({ shares, global }: StatusReport, flow: Flow | null, nowMs: number): readonly Joined[] {
  const byHosts = Map.groupBy(shares, ({ name, tb_host: tb, fb_host: fb }) =>
    tb === null && fb === null ? `folder ${name}` : `${tb} ${fb}`,
  );
  return [...byHosts].map(([id, own]) => {
    const [first] = own;
    const states = own.map((share) => {
      const label = shareLabel(share);
      const isReadyAgain = share.tb_recovery_pending && label.why === null;
      return {
        ...label,
        name: shown(share.name),
        isSecond: isReadyAgain || secondBestHint(share, global) !== null,
      };
    });
    const host = first?.fb_host ?? first?.tb_host ?? "/";
    // A local folder has the names of its shares as its title.
    const isFolder = host.startsWith("/");
    // Shares at these addresses may have them from several NAS of the file, or themselves.
    const named = new Set(own.flatMap(({ nas }) => nas ?? [])).size === 1 ? first?.nas : undefined;
    const names = states.map(({ name }) => name).join(", ");
    const tone = states.map((state) => state.tone).reduce(worseTone, "good");
    // A share on its second route is not a trouble here, because the wires show which route is in use.
    const grave = states.find((state) => state.tone === tone && tone !== "good" && !state.isSecond);
    return {
      ...{ id, kind: "nas", at: "shares", tone },
      title: isFolder ? names : shown(named ?? host),
      text: isFolder ? shown(first?.fb_host ?? "") : names,
      trouble:
        grave === undefined ? "" : shown(own.length === 1 ? grave.text : `${grave.name}: ${grave.text}`),
      wires: cablesOf(id, own, flow, nowMs),
    };
  });
}

/** The wires of all shares of one NAS; a wire is in use if one share uses it. */
function cablesOf(
  id: string,
  shares: readonly ShareStatus[],
  flow: Flow | null,
  nowMs: number,
): readonly Wire[] {
  const cables = shares.flatMap((share) => cableText(share).map((cable) => ({ ...cable, share })));
  return [...Map.groupBy(cables, ({ route }) => route)].flatMap(([route, own]) => {
    const used = own.filter(({ isUsed }) => isUsed);
    const [first] = [...used, ...own];
    if (first === undefined) return [];
    const rate = used.reduce((sum, { share }) => sum + rateOf(flow, share.name, nowMs), 0);
    return [
      {
        ...{ id: `${id} ${route}`, state: first.state, tone: first.tone, passing: [] },
        label: `${first.label} · ${first.text}`,
        rate: rate < LEAST_RATE ? "" : `${bytesText(rate)}/s`,
      },
    ];
  });
}

function peer(machine: FleetReport["machines"][number]): Joined {
  const { text, tone } = machineTrouble(machine) ?? {
    ...presenceLabel(machine),
    text: presenceText(machine),
  };
  const id = `machine ${machine.name}`;
  return {
    ...{ id, kind: "peer", at: "settings/fleet", tone },
    ...{ title: shown(machine.name), text: shown(text) },
    wires: [{ ...wire(id), state: "ready" }],
  };
}

/** Where a thing is drawn, and the lines of its text that fit in it. */
export interface Placed<Of extends Thing = Thing> {
  readonly thing: Of;
  readonly box: Box;
  readonly titles: readonly string[];
  readonly texts: readonly string[];
}

export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

interface DrawnWire extends Wire {
  readonly path: string;
  /** The label's lines: the first is above the wire, the second below it. */
  readonly labels: readonly string[];
  readonly labelX: number;
  readonly labelY: number;
}

export interface Drawing {
  readonly left: number;
  readonly width: number;
  readonly height: number;
  readonly isNarrow: boolean;
  readonly things: readonly Placed[];
  readonly wires: readonly DrawnWire[];
}

const BETWEEN = 12;
const HEIGHTS: Readonly<Record<Kind, number>> = { agent: 46, server: 46, peer: 46, nas: 96 };
/** Average widths of a letter. */
const TITLE_LETTER = 8.6;
const TEXT_LETTER = 7.4;
export const LINE_HEIGHT = 18;
const MOST_LINES = 5;
/** Letters of a wire's label, before it reaches the thing. */
const LABEL_LETTERS = 22;

/** Breaks a text between words, and after the slashes of a path; cuts only what has no room in `most` lines. */
export function wrapped(text: string, letters: number, most: number): readonly string[] {
  const lines: string[] = [];
  for (const piece of text.split(/(?<=[ /])/)) {
    const last = lines.at(-1);
    if (last !== undefined && `${last}${piece}`.trimEnd().length <= letters)
      lines.push(`${lines.pop()}${piece}`);
    else if (text !== "") lines.push(piece);
  }
  const shownLines = lines.slice(0, most).map((line) => line.trimEnd());
  if (lines.length > most) shownLines[most - 1] += ` ${lines[most]}`;
  return shownLines.map((line) =>
    line.length <= letters ? line : `${line.slice(0, Math.floor(letters) - 1).trimEnd()}…`,
  );
}

/** `isTall`: the thing's icon is above its text. */
function placed<Of extends Thing>(
  thing: Of,
  { x, y, width }: Omit<Box, "height">,
  height: number,
  isTall = false,
): Placed<Of> {
  const { kind, isHint = false, text, trouble = "" } = thing;
  const space = width - (isTall ? 16 : isHint ? 28 : 60);
  const hasDot = kind !== "machine" && !isHint;
  const titles = wrapped(thing.title, (hasDot ? space - 16 : space) / TITLE_LETTER, MOST_LINES);
  const texts = [text, trouble].flatMap((each) => wrapped(each, space / TEXT_LETTER, MOST_LINES));
  const tall = 10 + LINE_HEIGHT * (titles.length + texts.length);
  return { thing, box: { x, y, width, height: Math.max(height, tall) }, titles, texts };
}

type Column = Pick<Box, "x" | "width">;

/** Places things below each other. `endY`: the lower edge of the last one. */
function stacked(all: readonly Joined[], columnOf: (kind: Kind) => Column, fromY: number) {
  let y = fromY;
  const things = all.map((thing) => {
    const one = placed(thing, { ...columnOf(thing.kind), y }, HEIGHTS[thing.kind]);
    y += one.box.height + BETWEEN;
    return one;
  });
  return { things, endY: y - BETWEEN };
}

/** The second line takes the place of the rate, which a wire with trouble does not have. */
function drawnWire(wire: Wire, path: string, labelX: number, labelY: number): DrawnWire {
  const labels = wrapped(wire.label, LABEL_LETTERS, wire.rate === "" ? 2 : 1);
  return { ...wire, path, labels, labelX, labelY };
}

export function drawingOf(picture: Picture, isNarrow: boolean): Drawing {
  return isNarrow ? narrowDrawing(picture) : wideDrawing(picture);
}

const MACHINE = { x: 306, width: 180, height: 112 };
const LEFT = { x: 0, width: 220 };
const RIGHT = { x: 720, width: 280 };
/** Right of this x the wires are straight, and carry their labels. */
const STRAIGHT_X = 545;

/** From left to right: agents, this machine with the fleet below it, NAS and servers. */
function wideDrawing({ machine, joined }: Picture): Drawing {
  const of = (...kinds: readonly Kind[]) => joined.filter(({ kind }) => kinds.includes(kind));
  const tall = (all: readonly Joined[], column: Column): number => stacked(all, () => column, 0).endY;
  const [left, right, peers] = [of("agent"), of("nas", "server"), of("peer")];
  const below = peers.length === 0 ? 0 : tall(peers, MACHINE) + 3 * BETWEEN;
  const height = Math.max(tall(left, LEFT), tall(right, RIGHT), MACHINE.height + below) + 4;
  const middleY = (height - below) / 2;
  const own = placed(machine, { ...MACHINE, y: middleY - MACHINE.height / 2 }, MACHINE.height, true);
  const { box } = own;
  const wires: DrawnWire[] = [];
  const { things: lefts } = stacked(left, () => LEFT, (height - tall(left, LEFT)) / 2);
  const { things: rights } = stacked(right, () => RIGHT, (height - tall(right, RIGHT)) / 2);
  const { things: under } = stacked(peers, () => MACHINE, box.y + box.height + 3 * BETWEEN);
  const join = (
    all: typeof lefts,
    draw: (fromY: number, to: { readonly toX: number; readonly toY: number }, wire: Wire) => DrawnWire,
  ): void => {
    const ends = all.flatMap(({ thing, box: own }) =>
      thing.wires.map((each, index, { length }) => ({
        each,
        toX: own.x,
        toY: own.y + (own.height * (index + 0.5)) / length,
      })),
    );
    const apart = Math.min(14, (MACHINE.height - 24) / Math.max(1, ends.length - 1));
    ends.forEach(({ each, ...to }, index) => {
      wires.push(draw(middleY + (index - (ends.length - 1) / 2) * apart, to, each));
    });
  };
  join(lefts, (fromY, { toY }, each) => {
    const [start, end] = [LEFT.x + LEFT.width, MACHINE.x];
    const bend = (start + end) / 2;
    const path = `M${start},${toY} C${bend},${toY} ${bend},${fromY} ${end},${fromY}`;
    return drawnWire(each, path, start, toY);
  });
  join(rights, (fromY, { toX, toY }, each) => {
    const start = MACHINE.x + MACHINE.width;
    const bend = (start + STRAIGHT_X) / 2;
    const path = `M${start},${fromY} C${bend},${fromY} ${bend},${toY} ${STRAIGHT_X},${toY} H${toX}`;
    return drawnWire(each, path, STRAIGHT_X + 4, toY);
  });
  for (const { thing, box: place } of under) {
    const x = MACHINE.x + MACHINE.width / 2;
    const fromY = place === under[0]?.box ? box.y + box.height : place.y - BETWEEN;
    const path = `M${x},${fromY} V${place.y}`;
    wires.push(...thing.wires.map((each) => drawnWire(each, path, x, place.y)));
  }
  const start = left.length === 0 ? MACHINE.x - 2 : -2;
  const end = right.length === 0 ? MACHINE.x + MACHINE.width + 2 : RIGHT.x + RIGHT.width + 2;
  return {
    ...{ left: start, width: end - start, height, isNarrow: false, wires },
    things: [own, ...lefts, ...rights, ...under],
  };
}

const NARROW = 358;

/** Draws this machine as a rail at the left, and beside it everything that is connected to it. */
function narrowDrawing({ machine, joined }: Picture): Drawing {
  const wires: DrawnWire[] = [];
  const column = (kind: Kind): Column => {
    const x = kind === "nas" ? 180 : 52;
    return { x, width: NARROW - x };
  };
  const { things, endY } = stacked(joined, column, 60 + BETWEEN);
  for (const { thing, box } of things) {
    const { x, y } = box;
    thing.wires.forEach((each, index, { length }) => {
      const toY = y + (box.height * (index + 0.5)) / length;
      // The line is drawn in the direction of the calls.
      const path = thing.kind === "agent" ? `M${x},${toY} H8` : `M8,${toY} H${x}`;
      wires.push(drawnWire(each, path, 14, toY));
    });
  }
  const rail = placed(machine, { x: 0, y: 0, width: NARROW }, 60);
  return {
    ...{ left: 0, width: NARROW, height: endY + BETWEEN, isNarrow: true, wires },
    things: [rail, ...things],
  };
}
