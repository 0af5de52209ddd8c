// Text of the configuration: an editor, and a diff. Both are plain text until CodeMirror is loaded, and stay plain if that
// fails: the build from which the page was loaded may have been removed.
import { type ComponentChild, h, type RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { printableLines } from "../../../runtime/text/plain-text.ts";
import type { CodeEditor, DiffOptions, EditorOptions, TextPosition } from "./code-editor.ts";

type Code = typeof import("./code-editor.ts");

/** CodeMirror; null until it is loaded, and in a browser that cannot draw it. */
function useCode(): Code | null {
  const [code, setCode] = useState<Code | null>(null);
  useEffect(() => {
    if ("ShadowRoot" in globalThis) void import("./code-editor.ts").then(setCode, () => {});
  }, []);
  return code;
}

interface CodeTextProps extends Omit<EditorOptions, "host" | "text"> {
  /** The text at the time of drawing. */
  readonly text: string;
  /** The current text. */
  readonly newest: () => string;
  readonly positions: readonly TextPosition[];
  /** Set to the editor once it is open; null while there is only the plain field. */
  readonly editor: RefObject<CodeEditor | null>;
  readonly onOpen: (editor: CodeEditor) => void;
}

export function CodeText(props: CodeTextProps): ComponentChild {
  const { text, newest, format, label, positions, editor } = props;
  const host = useRef<HTMLDivElement>(null);
  const current = useRef(props);
  current.current = props;
  const [isOpen, setOpen] = useState(false);
  const code = useCode();
  useEffect(() => {
    if (code === null || host.current === null) return;
    const hadFocus = host.current.contains(document.activeElement);
    const opened = code.openEditor({
      host: host.current,
      text: newest(),
      format,
      label,
      schema: () => current.current.schema(),
      onText: (typed) => current.current.onText(typed),
      onKey: (path) => current.current.onKey(path),
    });
    editor.current = opened;
    if (hadFocus) opened.goTo(1, 1);
    current.current.onOpen(opened);
    setOpen(true);
    return () => {
      opened[Symbol.dispose]();
      editor.current = null;
    };
  }, [code, format]);
  useEffect(() => editor.current?.setText(newest()), [isOpen, text]);
  useEffect(() => editor.current?.mark(positions), [isOpen, positions]);
  return h(
    "div",
    { class: "code", ref: host },
    isOpen
      ? null
      : h("textarea", {
          id: "config-text",
          "aria-label": label,
          value: text,
          spellcheck: false,
          wrap: "off",
          onInput: (event: Event) => props.onText((event.target as HTMLTextAreaElement).value),
        }),
  );
}

/** A diff; without CodeMirror, the new text. */
export function CodeDiff(props: Omit<DiffOptions, "host">): ComponentChild {
  const { before, after, labels } = props;
  const host = useRef<HTMLDivElement>(null);
  const code = useCode();
  useEffect(() => {
    if (code === null || host.current === null) return;
    const drawn = code.openDiff({ host: host.current, ...props });
    return () => drawn[Symbol.dispose]();
  }, [code, before, after]);
  return h(
    "div",
    { class: "code", ref: host },
    h(
      "pre",
      { class: "text", tabIndex: 0, role: "region", "aria-label": labels.after },
      printableLines(after),
    ),
  );
}
