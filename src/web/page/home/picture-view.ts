// Draws the picture of Home, and says the same as a list to a screen reader.
import { type ComponentChild, h } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { useNow, useStore } from "../daemon/store.ts";
import { useFleet } from "../fleet/use-fleet.ts";
import type { ViewProps } from "../parts/app.ts";
import { type Box, type Drawing, drawingOf, type Picture, pictureOf, type Thing } from "./picture.ts";

/** Of the page, not of the picture: as in the page's style. */
const NARROW = "(max-width: 48rem)";
/** The width of a letter, about. */
const TITLE_LETTER = 8.6;
const TEXT_LETTER = 7.4;

export function PictureView({ app }: ViewProps): ComponentChild {
  const status = useStore(app.store, (state) => state.status);
  const flow = useStore(app.store, (state) => state.flow);
  const { known } = useFleet(app);
  const now = useNow();
  const isNarrow = useNarrow();
  const fleet = known.kind === "fleet" ? known.report : null;
  const picture = useMemo(
    () => (status === null ? null : pictureOf({ status, fleet, flow }, now)),
    [status, fleet, flow, now],
  );
  if (picture === null) return null;
  return h(
    "div",
    { class: "picture" },
    drawn(drawingOf(picture, isNarrow)),
    h("ul", { class: "unseen", "aria-label": `What ${picture.machine.title} is joined to` }, said(picture)),
  );
}

function useNarrow(): boolean {
  const [isNarrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const query = matchMedia(NARROW);
    const look = (): void => setNarrow(query.matches);
    query.addEventListener("change", look);
    return () => query.removeEventListener("change", look);
  }, []);
  return isNarrow;
}

function said({ joined }: Picture): readonly ComponentChild[] {
  return joined.map(({ id, title, text, trouble = "", wires }) => {
    const cables = wires.flatMap(({ label, rate }) => [label, rate]);
    return h("li", { key: id }, [title, text, trouble, ...cables].filter((word) => word !== "").join(", "));
  });
}

function drawn({ left, width, height, isNarrow, things, wires }: Drawing): ComponentChild {
  return h(
    "svg",
    {
      viewBox: `${left} 0 ${width} ${height}`,
      class: isNarrow ? "narrow" : width < 900 ? "short" : "wide",
      "aria-hidden": true,
    },
    wires.map(({ id, path, state, tone, rate, passing }) =>
      h(
        "g",
        { key: id },
        h("path", { class: `wire ${state} ${tone}`, d: path, pathLength: state === "used" ? 1 : undefined }),
        rate === "" ? null : h("path", { class: "moving", d: path }),
        passing.map((atMs) => h("path", { key: atMs, class: "call", d: path, pathLength: 1 })),
      ),
    ),
    things.map(({ thing, box }) => thingDrawn(thing, box, isNarrow, height)),
    wires.map(({ id, label, rate, labelX, labelY, tone }) =>
      label === ""
        ? null
        : [
            h("text", { key: id, class: `label ${tone}`, x: labelX, y: labelY - 7 }, label),
            h("text", { key: `${id} rate`, class: "rate", x: labelX, y: labelY + 18 }, rate),
          ],
    ),
  );
}

function thingDrawn(thing: Thing, box: Box, isNarrow: boolean, height: number): ComponentChild {
  const { id, kind, title, text, trouble = "", tone, at, isHint = false } = thing;
  const { x, y } = box;
  const isMachine = kind === "machine";
  const isTall = isMachine && !isNarrow;
  const middleX = x + box.width / 2;
  const middleY = y + box.height / 2;
  const textX = isTall ? middleX : x + 48;
  const room = box.width - (isTall ? 16 : isHint ? 28 : 60);
  const baseline = isTall ? y + 76 : middleY - (trouble === "" ? 2 : 11);
  const lines = [text, trouble];
  return h(
    "a",
    { key: id, href: `#/${at}`, tabindex: -1, class: `thing ${kind} ${isHint ? "hint" : tone}` },
    h("title", {}, [title, ...lines].filter((line) => line !== "").join(", ")),
    isMachine && isNarrow
      ? h("rect", { class: "rail", x: 0, y: 30, width: 8, height: height - 30, rx: 4 })
      : null,
    h("rect", { class: "box", ...box, rx: 10 }),
    isHint ? null : sign(kind, title, isTall ? middleX - 14 : x + 12, isTall ? y + 18 : middleY - 14),
    h(
      "g",
      isTall ? { "text-anchor": "middle" } : {},
      h(
        "text",
        { class: "title", x: isHint ? x + 14 : textX, y: text === "" ? middleY + 5 : baseline },
        cut(title, (isMachine || isHint ? room : room - 16) / TITLE_LETTER),
      ),
      lines.map((line, index) =>
        h(
          "text",
          { key: index, class: "text", x: isHint ? x + 14 : textX, y: baseline + 18 * (index + 1) },
          cut(line, room / TEXT_LETTER),
        ),
      ),
    ),
    isMachine || isHint ? null : h("circle", { class: "dot", cx: x + box.width - 14, cy: y + 16, r: 4 }),
  );
}

function cut(text: string, letters: number): string {
  return text.length <= letters ? text : `${text.slice(0, Math.floor(letters) - 1).trimEnd()}…`;
}

/** 28 by 28. */
function sign(kind: Thing["kind"], title: string, x: number, y: number): ComponentChild {
  if (kind === "machine" || kind === "peer")
    return h("path", {
      class: "line",
      d: `M${x + 5},${y + 5} h18 v13 h-18 z M${x + 1},${y + 22} h26`,
    });
  if (kind === "nas")
    return h("path", {
      class: "line",
      d: `M${x + 4},${y + 3} h20 v9 h-20 z m0,11 h20 v9 h-20 z M${x + 8},${y + 7.5} h5 m-5,11 h5`,
    });
  return [
    h("rect", { class: "initial-back", x, y, width: 28, height: 28, rx: 7 }),
    h(
      "text",
      { class: "initial", x: x + 14, y: y + 19, "text-anchor": "middle" },
      title.charAt(0).toUpperCase(),
    ),
  ];
}
