// One recording plays at a time; at its end the next line of the chapter plays.
document.addEventListener("play", event => {
  for (const other of document.querySelectorAll("audio.on")) if (other !== event.target) { other.pause(); other.classList.remove("on"); }
  event.target.classList.add("on");
}, true);
document.addEventListener("ended", event => {
  const chapter = event.target.closest(".chapter");
  const players = chapter ? [...chapter.querySelectorAll("audio")] : [];
  players[players.indexOf(event.target) + 1]?.play();
}, true);
