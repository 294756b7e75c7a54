(function () {
  "use strict";
  var root = document.documentElement;
  var asked = /[?&#]theme=(light|dark)/.exec(location.search + location.hash);
  var kept = null;
  try { kept = localStorage.getItem("lsoftmax-theme"); } catch (e) { /* no storage, no memory */ }
  if (asked) { root.dataset.theme = asked[1]; }
  else if (kept === "light" || kept === "dark") { root.dataset.theme = kept; }
  var button = document.getElementById("theme");
  button.hidden = false;
  button.addEventListener("click", function () {
    var night = window.matchMedia("(prefers-color-scheme: dark)").matches;
    var now = root.dataset.theme || (night ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    try { localStorage.setItem("lsoftmax-theme", root.dataset.theme); } catch (e) { /* as above */ }
  });

  document.querySelectorAll(".pictures").forEach(function (part) {
    var chosen = null;
    function light(name) {
      part.classList.toggle("lit", name !== null);
      part.querySelectorAll(".cls").forEach(function (group) {
        group.classList.toggle("on", group.dataset.class === name);
      });
    }
    part.querySelectorAll("button[data-class]").forEach(function (key) {
      var name = key.dataset.class;
      key.addEventListener("click", function () {
        chosen = chosen === name ? null : name;
        part.querySelectorAll("button[data-class]").forEach(function (other) {
          other.setAttribute("aria-pressed", String(other.dataset.class === chosen));
        });
        light(chosen);
      });
      key.addEventListener("pointerenter", function (event) {
        if (event.pointerType === "mouse") { light(name); }
      });
      key.addEventListener("pointerleave", function () { light(chosen); });
      key.addEventListener("focus", function () { if (key.matches(":focus-visible")) { light(name); } });
      key.addEventListener("blur", function () { light(chosen); });
    });
    part.querySelectorAll(".way").forEach(function (way) {
      var range = way.querySelector("input");
      var shown = way.querySelector("output");
      var steps = range.dataset.steps.split(";");
      way.hidden = false;
      range.value = range.max;
      range.addEventListener("input", function () {
        shown.textContent = steps[Number(range.value)];
        part.querySelectorAll("svg").forEach(function (svg) {
          var frames = svg.querySelectorAll(".step");
          var now = Math.max(0, frames.length - steps.length + Number(range.value));
          frames.forEach(function (frame, i) { frame.classList.toggle("now", i === now); });
        });
      });
    });
    part.querySelectorAll(".scale").forEach(function (group) {
      group.hidden = false;
      group.querySelectorAll("button").forEach(function (key) {
        key.addEventListener("click", function () {
          part.classList.toggle("same", key.dataset.scale === "shared");
          group.querySelectorAll("button").forEach(function (other) {
            other.setAttribute("aria-pressed", String(other === key));
          });
        });
      });
    });
  });
})();
