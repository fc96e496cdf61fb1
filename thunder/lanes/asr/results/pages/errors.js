"use strict";
// The choice is kept in the fragment, so that a link leads to what its sender saw.
(() => {
  const controls = {};
  for (const name of ["partition", "kind", "sort", "q"]) {
    controls[name] = document.getElementById(name);
  }
  const list = document.getElementById("rows");
  const rows = [...list.querySelectorAll(".row")];
  const shown = document.getElementById("shown");
  const none = document.getElementById("none");
  const texts = new Map(rows.map((row) => [row, plain(row.dataset.text)]));
  const orders = {
    edits: (row) => -Number(row.dataset.edits),
    cer: (row) => -Number(row.dataset.cer),
    duration: (row) => -Number(row.dataset.duration),
    id: (row) => row.id,
  };

  function plain(text) {
    return text.normalize("NFC").toLowerCase();
  }

  function fits(row, choice) {
    return (
      (!choice.partition || row.dataset.partition === choice.partition) &&
      (!choice.kind || row.dataset.kinds.split(" ").includes(choice.kind)) &&
      (!choice.q || texts.get(row).includes(plain(choice.q)))
    );
  }

  function compare(order) {
    return (one, other) => {
      const [first, second] = [order(one), order(other)];
      return first < second ? -1 : first > second ? 1 : one.id < other.id ? -1 : 1;
    };
  }

  function show() {
    const choice = {};
    for (const [name, control] of Object.entries(controls)) choice[name] = control.value.trim();
    let count = 0;
    for (const row of rows) {
      row.hidden = !fits(row, choice);
      count += row.hidden ? 0 : 1;
    }
    list.append(...rows.sort(compare(orders[choice.sort])));
    shown.textContent = `${count} of ${rows.length} rows`;
    none.hidden = count > 0;
    return choice;
  }

  function remember() {
    const choice = show();
    const kept = Object.entries(choice).filter(
      ([name, value]) => value && !(name === "sort" && value === "edits"),
    );
    const fragment = new URLSearchParams(kept).toString();
    history.replaceState(null, "", fragment ? `#${fragment}` : location.pathname);
  }

  function read() {
    const fragment = location.hash.slice(1);
    const given = new URLSearchParams(fragment);
    const row = document.getElementById([...given.keys()][0] ?? "");
    for (const [name, control] of Object.entries(controls)) {
      const value = given.get(name) ?? (name === "sort" ? "edits" : "");
      const known = name === "q" || [...control.options].some((option) => option.value === value);
      control.value = known ? value : control.options[0].value;
    }
    show();
    if (row && rows.includes(row)) row.scrollIntoView();
  }

  function clear() {
    for (const [name, control] of Object.entries(controls)) {
      control.value = name === "sort" ? "edits" : "";
    }
    remember();
    controls.partition.focus();
  }

  // A line moves over the spectrogram while its recording plays; a click there plays from there.
  function follow(player) {
    const time = player.closest(".row").querySelector(".time");
    const cursor = time.querySelector(".cursor");
    const seconds = Number(time.dataset.seconds);

    function move() {
      cursor.hidden = false;
      cursor.style.insetInlineStart = `${(100 * player.currentTime) / seconds}%`;
      if (!player.paused) requestAnimationFrame(move);
    }

    player.addEventListener("play", move);
    player.addEventListener("seeked", move);
    time.addEventListener("click", (event) => {
      const box = time.getBoundingClientRect();
      const share = (event.clientX - box.left) / box.width;
      const isFromRight = getComputedStyle(time).direction === "rtl";
      player.currentTime = seconds * (isFromRight ? 1 - share : share);
      player.play().catch((error) => {
        if (error.name !== "AbortError") throw error; // that of one who pauses before it begins
      });
    });
  }

  document.documentElement.classList.add("js");
  for (const player of list.querySelectorAll("audio")) follow(player);
  for (const control of Object.values(controls)) control.addEventListener("input", remember);
  document.getElementById("clear").addEventListener("click", clear);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) {
      event.preventDefault();
      controls.q.focus();
    }
  });
  window.addEventListener("hashchange", read);
  read();
})();
