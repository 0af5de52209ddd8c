// The changes that the watcher sees, when it offers them, and what it announces and retries after contents that are
// rejected, fail to apply or cannot be read.
import { CHANGED, SAME, story } from "./stories.ts";

const QUICK = { pollIntervalMs: 100, debounceMs: 100 };
const EACH = { each: true } as const;
const STOPPED = "; watching stopped until a reload by hand succeeds";
const LATE = "error /home/user/.mountaineer/config.toml gave no answer within 5 s";

// Polls fall on multiples of their interval, and the clock begins at 1 s: the poll at 4 s opens the window.
story("B1 a change is noticed within the poll interval and applied when the debounce window is over", {}, [
  ["", 1_500],
  ["save b", 2_499],
  ["", 1, ["b"], [CHANGED], "runs b, fine"],
]);

story(
  "B1 the baseline is the loaded content: an edit between loading and watching is applied",
  { ...EACH, text: "edited", loaded: "a" },
  [
    ["", 1_000, ["edited"], [CHANGED]],
    ["", 60_000],
  ],
);

story("B1 content that is read and then restored to its state before the read is a change", EACH, [
  ["save b; reload applied", 0, ["b"], [CHANGED]],
  ["save a", 10_000, ["a"], [CHANGED]],
]);

story(
  "B1 a save during the second check is one event, not two",
  { settings: { detection: "inotify", debounceMs: 50 } },
  [
    ["save torn", 100, ["torn"]],
    // The debounce window ends before the second look.
    ["save whole", 5_000, null, [CHANGED]],
  ],
);

story(
  "B1 of two broken saves in a row, the second is also rechecked before it counts",
  { settings: { detection: "inotify", debounceMs: 50 } },
  [
    ["save torn", 100, ["torn"]],
    ["save torn more", 300, ["torn more"]],
    ["save whole", 5_000, ["whole"], [CHANGED]],
  ],
);

story("B10 switching watching off ends a second check and a retry", { settings: QUICK }, [
  ["save torn", 300, ["torn"]],
  ["set enabled false", 60_000, [], [], "off, fine"],
  ["busy; save b; set enabled true", 1_000, null, ["error busy"], "failed"],
  ["set enabled false", 300_000, [], [], "off, 0 looks"],
]);

story("B1 a save that was first noticed by another check is debounced all the same", {}, [
  ["save later", 4_500, null, ["error the gateway is busy"]],
  // The retry reads the file before the poll does.
  ["save half of it", 400],
  ["save all of it", 10_000, ["all of it"], [CHANGED], "runs all of it"],
]);

story("B2 a touch without a change: one no-change event under mtime, else nothing", EACH, (detection) => [
  ["touch", 30_000, [], detection === "mtime" ? [SAME] : []],
]);

story("B2 same size and mtime kept: cannot be seen under mtime, else applied", EACH, (detection) =>
  detection === "mtime"
    ? [["save-quietly b", 30_000]]
    : [
        ["", 10_000],
        ["save-quietly b", 30_000, ["b"], [CHANGED]],
      ],
);

story("B3 a missing file is not a change, and it is one when it returns changed", EACH, [
  ["remove", 30_000, [], [], "missing, fine"],
  ["save b", 4_000, ["b"], [CHANGED], "there"],
  ["remove", 30_000, [], [], "missing"],
  ["set enabled false", 0, [], [], "off, there"],
]);

story("B3 a file that was missing from the start is a change when it appears", { ...EACH, text: null }, [
  ["", 10_000],
  ["save a", 4_000, ["a"], [CHANGED]],
]);

story(
  "B4 rejected bytes are reported once, not offered again, and their correction applies at the normal pace",
  EACH,
  [
    ["save bad", 200_000, ["bad"], ["error wrong: bad"], "rejected, runs a"],
    ["save good", 3_000, ["good"], [CHANGED], "fine"],
  ],
);

story("B4 rejected bytes that are touched, or saved again, are not offered again", {}, [
  ["save bad", 5_000, ["bad"], ["error wrong: bad"]],
  ["touch", 5_000],
  ["save bad", 5_000],
]);

story("B4 the running bytes again clear the error and are one no-change event", EACH, [
  ["save bad", 5_000, ["bad"], ["error wrong: bad"], "rejected"],
  ["save a", 200_000, [], [SAME], "fine"],
]);

story(
  "B4 a temporary failure that is reverted is also one no-change event",
  { ...EACH, settings: { onFailure: "fixed" } },
  [
    ["save later", 9_500, null, ["error the gateway is busy"]],
    ["save a", 200_000, null, [SAME], "fine"],
  ],
);

story("B4 a temporary failure outlives the file's absence and is retried when it returns unchanged", {}, [
  ["busy; save b", 3_000, ["b"], ["error busy"], "failed"],
  ["remove", 300_000, [], [], "failed"],
  ["free; save-quietly b", 61_000, ["b"], [CHANGED], "runs b"],
]);

story("B4 an unreadable file is an error, reported once, and cleared when it can be read again", EACH, [
  ["save b; unreadable EACCES", 30_000, [], ["error EACCES: on purpose"], "unreadable"],
  ["readable", 70_000, ["b"], [CHANGED]],
  ["unreadable EIO", 10_000, [], ["error EIO: on purpose"]],
  ["readable", 70_000, [], [SAME], "fine"],
]);

story(
  "B4 an unreadable file that is then deleted is no longer an error",
  { settings: { detection: "hash" } },
  [
    ["unreadable EACCES", 10_000, [], ["error EACCES: on purpose"], "unreadable"],
    ["readable; remove", 70_000, [], [], "fine"],
  ],
);

story("a file that gives no answer is an error event after the deadline, and looks do not pile up", {}, [
  ["silent", 120_000, [], [LATE], "unreadable, 1 look"],
  ["save b; answering", 70_000, ["b"], [CHANGED], "fine, runs b"],
]);

story("an empty file right after a change is looked at again before it is offered", { settings: QUICK }, [
  ["save ", 300],
  ["save b", 1_000, ["b"], [CHANGED]],
  ["save ", 1_000, [""], [CHANGED]],
]);

for (const onFailure of ["backoff", "stop"] as const)
  story(
    `B4 under ${onFailure} an unparsable content right after a change is rechecked before it counts as an error`,
    { settings: { ...QUICK, onFailure } },
    [
      ["save torn", 300, ["torn"]],
      ["save whole", 1_000, ["whole"], [CHANGED], "live, runs whole"],
      [
        "save torn for good",
        1_000,
        ["torn for good"],
        [`error no TOML: torn for good${onFailure === "stop" ? STOPPED : ""}`],
      ],
    ],
  );

const STOP = { settings: { onFailure: "stop" } } as const;

story(
  "B4 stop: watching ends after the first failed reload and reports it; a manual reload starts it again",
  { ...EACH, ...STOP },
  [
    ["save bad", 5_000, ["bad"], [`error wrong: bad${STOPPED}`], "stopped"],
    ["save good", 60_000, [], [], "0 looks, no timer"],
    ["reload applied", 0, ["good"], [CHANGED], "live, fine"],
    ["save good again", 5_000, ["good again"], [CHANGED]],
  ],
);

story("B4 under stop, a failed manual reload stays stopped; the running bytes again start it", STOP, [
  ["save bad", 4_000, ["bad"], [`error wrong: bad${STOPPED}`], "stopped"],
  ["save bad, too; reload rejected", 0, ["bad, too"], ["error wrong: bad, too"], "stopped"],
  ["save a; reload same", 0, [], [SAME], "live, fine"],
]);

story("B4 under stop, saving through the service and another failure mode start it again", STOP, [
  ["save bad", 4_000, ["bad"], [`error wrong: bad${STOPPED}`], "stopped"],
  ["edit mended", 30_000, [], [CHANGED], "live"],
  ["save bad 1", 4_000, ["bad 1"], [`error wrong: bad 1${STOPPED}`], "stopped"],
  [`set onFailure "backoff"`, 0, null, null, "live"],
]);

story(
  "B4 a content that was rejected before the start is reported, not retried, and correcting it applies the correction, also under stop",
  { ...EACH, ...STOP, text: "bad", loaded: "a", rejected: "bad" },
  [
    ["", 10_000, [], ["error wrong: bad"], "live, rejected, runs a"],
    ["save mended", 5_000, ["mended"], [CHANGED], "fine, live, runs mended"],
  ],
);

story(
  "B4 a content that was corrected while the service started is applied",
  { text: "mended", loaded: "a", rejected: "bad" },
  [["", 5_000, ["mended"], ["error wrong: bad", CHANGED], "fine"]],
);

story(
  "B4 under stop a second error ends watching, like the first failed reload",
  { ...STOP, text: "bad", loaded: "a", rejected: "bad" },
  [
    [
      "save bad again",
      5_000,
      ["bad again"],
      ["error wrong: bad", `error wrong: bad again${STOPPED}`],
      "stopped",
    ],
    ["save a; reload same", 5_000, [], [SAME], "live, fine"],
  ],
);

story("B5 sub-second settings work", { ...EACH, settings: { pollIntervalMs: 50, debounceMs: 100 } }, () =>
  Array.from({ length: 10 }, (_, edit) => [`save edit ${edit}`, 151, [`edit ${edit}`], [CHANGED]] as const),
);

story(
  "B5 an absurd poll interval does not cause a busy loop",
  { settings: { detection: "hash", pollIntervalMs: 0 } },
  [["", 1_000, [], [], "100 looks"]],
);

story("B8 other bytes with the same meaning are no-change, and their hash becomes the running one", {}, [
  ["save same reordered", 4_000, ["same reordered"], [SAME], "runs same reordered"],
]);

story("B10 bytes that the service itself wrote and runs are ignored, once", EACH, (detection) => [
  ["edit edited by the panel", 30_000, [], [CHANGED], "runs edited by the panel"],
  ["touch", 30_000, [], detection === "mtime" ? [SAME] : []],
  ["save b", 4_000, ["b"], [CHANGED]],
]);

story("B4 an edit that cannot be applied is retried soon, however often the content before it failed", {}, [
  ["busy; save b", 300_000, null, ["error busy"], "failed"],
  ["save d", 5_000, null, ["error busy"], "failed"],
  ["edit-late c", 0, null, ["error busy"], "failed"],
  ["free", 5_000, ["c"], [CHANGED], "runs c"],
]);

story("B10 after an edit that wrote nothing, a touch is reported like any other", {}, [
  ["edit-in-vain a", 0, [], [CHANGED]],
  ["touch", 30_000, [], [SAME]],
]);

story(
  "B10 an edit through the service that is reverted in the file before it was noticed there is applied",
  EACH,
  [
    ["edit b", 0, [], [CHANGED]],
    ["save a", 10_000, ["a"], [CHANGED], "runs a"],
  ],
);

story(
  "B10 enabled = false means no watching; a manual reload applies all the same",
  { settings: { enabled: false } },
  [
    ["save b", 60_000, [], [], "off, 0 looks, no timer"],
    ["reload applied", 0, ["b"], [CHANGED], "off"],
  ],
);

story("B10 switching watching off drops a window that is open, and on again finds the edit", {}, [
  ["save b", 1_500],
  ["set enabled false", 0, [], [], "no timer"],
  ["", 60_000],
  ["set enabled true", 1_001, ["b"], [CHANGED]],
]);

story(
  "a reload by hand needs no window, offers rejected bytes again, and leaves no second reload behind",
  {},
  [
    [
      "save bad; reload rejected; reload rejected",
      0,
      ["bad", "bad"],
      ["error wrong: bad", "error wrong: bad"],
    ],
    ["save good; reload applied; reload same", 0, ["good"], [CHANGED, SAME]],
    ["save better; reload applied", 60_000, ["better"], [CHANGED]],
    ["remove; reload missing", 60_000],
  ],
);
