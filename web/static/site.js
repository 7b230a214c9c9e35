// What the page does without a click: more pictures as one scrolls, a search as
// soon as a picture is chosen, dropped or pasted, and "/" for the search field.
// Without it everything is still there, behind links and buttons.
"use strict";
{
  const form = document.querySelector(".upload");
  const file = form.querySelector("input[type=file]");

  const searchBy = (picture) => {
    const list = new DataTransfer();
    list.items.add(picture);
    file.files = list.files;
    form.requestSubmit();
  };
  const pictureOf = (data) => [...(data?.files ?? [])].find((f) => f.type.startsWith("image/"));
  const carriesFile = (e) => e.dataTransfer?.types.includes("Files");
  const dragging = (is) => document.body.classList.toggle("dragging", is);

  file.addEventListener("change", () => file.files.length && form.requestSubmit());
  addEventListener("dragover", (e) => {
    if (!carriesFile(e)) return;
    e.preventDefault();
    dragging(true);
  });
  addEventListener("dragleave", (e) => e.relatedTarget === null && dragging(false));
  addEventListener("drop", (e) => {
    if (!carriesFile(e)) return;
    e.preventDefault();
    dragging(false);
    const picture = pictureOf(e.dataTransfer);
    if (picture) searchBy(picture);
  });
  addEventListener("paste", (e) => {
    const picture = pictureOf(e.clipboardData);
    if (picture) {
      e.preventDefault();
      searchBy(picture);
    }
  });

  const busy = (is) => document.body.classList.toggle("busy", is);
  addEventListener("submit", () => busy(true));
  addEventListener("pageshow", () => busy(false)); // also when one comes back

  addEventListener("keydown", (e) => {
    const typing = e.target.closest?.("input, textarea, select, [contenteditable]");
    if (e.key !== "/" || typing || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    document.getElementById("q").select();
  });
}

{
  // The link to the next page is taken as soon as it comes near.
  const pages = document.querySelector(".pages");
  const grid = document.querySelector(".grid");

  const more = async (link) => {
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    grid.append(...page.querySelectorAll(".grid > li"));
    const next = page.querySelector(".pages a[rel=next]");
    if (next) link.href = next.getAttribute("href");
    else link.remove();
    return next;
  };

  const link = pages?.querySelector("a[rel=next]");
  if (link) {
    let loading = false;
    const watch = new IntersectionObserver(async ([e]) => {
      if (!e.isIntersecting || loading) return;
      loading = true;
      watch.disconnect();
      try {
        if (await more(link)) watch.observe(link); // which may be near again
      } catch {
        // the link stays, for a click
      }
      loading = false;
    }, { rootMargin: "150% 0px" });
    watch.observe(link);
  }
}
