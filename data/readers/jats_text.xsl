<?xml version="1.0" encoding="UTF-8"?>
<!-- An article in JATS as text, with the signs of html_text.xsl for its structure: title, abstracts, body, appendices,
     and references where the parameter asks for them. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform" xmlns:m="http://www.w3.org/1998/Math/MathML" exclude-result-prefixes="m">
  <xsl:output method="text" encoding="UTF-8"/>
  <xsl:param name="references" select="'leave_out'"/>

  <xsl:template match="article">
    <xsl:apply-templates select="front/article-meta/title-group/article-title | front/article-meta/title-group/subtitle"/>
    <xsl:apply-templates select="front/article-meta/abstract[not(@abstract-type = 'graphical' or @abstract-type = 'toc' or @abstract-type = 'teaser')]"/>
    <xsl:apply-templates select="body | back | floats-group | sub-article | response"/>
  </xsl:template>
  <xsl:template match="sub-article | response">
    <xsl:apply-templates select="front//article-title | front-stub//article-title | body | back"/>
  </xsl:template>

  <xsl:template match="p | title | article-title | subtitle | abstract | sec | caption | table-wrap | table | fig | boxed-text | disp-quote | list | def-list | disp-formula | ack | app | table-wrap-foot | statement | verse-group | supplementary-material | preformat | code">
    <xsl:text>&#xFDD0;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD0;</xsl:text>
  </xsl:template>
  <xsl:template match="tr | def-item | verse-line | fn | ref | speech | disp-formula-group">
    <xsl:text>&#xFDD1;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD1;</xsl:text>
  </xsl:template>
  <xsl:template match="break"><xsl:text>&#xFDD4;</xsl:text></xsl:template>
  <xsl:template match="list-item"><xsl:text>&#xFDD1;- </xsl:text><xsl:apply-templates mode="cell"/><xsl:text>&#xFDD1;</xsl:text></xsl:template>
  <xsl:template match="td | th"><xsl:apply-templates mode="cell"/><xsl:text>&#xFDD2;</xsl:text></xsl:template>
  <xsl:template match="p | title | break | list-item | def | term" mode="cell">
    <xsl:text> </xsl:text><xsl:apply-templates mode="cell"/><xsl:text> </xsl:text>
  </xsl:template>
  <xsl:template match="disp-formula | inline-formula | tex-math | m:math | alternatives | sup | sub | fn | table-wrap | fig | list | graphic | inline-graphic | media | xref[@ref-type = 'table-fn']" mode="cell">
    <xsl:apply-templates select="."/>
  </xsl:template>

  <!-- The caption of a figure or table goes on behind its label. -->
  <xsl:template match="label"><xsl:apply-templates/><xsl:text> </xsl:text></xsl:template>
  <xsl:template match="label" mode="cell"><xsl:apply-templates/><xsl:text> </xsl:text></xsl:template>
  <xsl:template match="preformat//text() | code//text()"><xsl:value-of select="translate(., '&#10; ', '&#xFDD4;&#xFDD3;')"/></xsl:template>

  <!-- Formulae: TeX where there is some, else MathML in a line, else a mark in the place of the picture. -->
  <xsl:template match="disp-formula | inline-formula | alternatives[tex-math or m:math]" priority="2">
    <xsl:if test="self::disp-formula"><xsl:text>&#xFDD1;</xsl:text></xsl:if>
    <xsl:choose>
      <xsl:when test=".//tex-math"><xsl:apply-templates select="(.//tex-math)[1]"/></xsl:when>
      <xsl:when test=".//m:math"><xsl:apply-templates select="(.//m:math)[1]"/></xsl:when>
      <xsl:when test=".//graphic or .//inline-graphic"><xsl:text>[formula]</xsl:text></xsl:when>
      <xsl:otherwise><xsl:apply-templates/></xsl:otherwise>
    </xsl:choose>
    <xsl:if test="self::disp-formula"><xsl:text> </xsl:text><xsl:value-of select="label"/><xsl:text>&#xFDD1;</xsl:text></xsl:if>
  </xsl:template>
  <xsl:template match="tex-math">
    <xsl:choose>
      <xsl:when test="contains(., '\begin{document}')">
        <xsl:value-of select="substring-before(substring-after(., '\begin{document}'), '\end{document}')"/>
      </xsl:when>
      <xsl:otherwise><xsl:value-of select="."/></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <xsl:template match="m:msup"><xsl:apply-templates select="*[1]"/>^{<xsl:apply-templates select="*[2]"/>}</xsl:template>
  <xsl:template match="m:msub"><xsl:apply-templates select="*[1]"/>_{<xsl:apply-templates select="*[2]"/>}</xsl:template>
  <xsl:template match="m:msubsup">
    <xsl:apply-templates select="*[1]"/>_{<xsl:apply-templates select="*[2]"/>}^{<xsl:apply-templates select="*[3]"/>}</xsl:template>
  <xsl:template match="m:mfrac">(<xsl:apply-templates select="*[1]"/>)/(<xsl:apply-templates select="*[2]"/>)</xsl:template>
  <xsl:template match="m:msqrt">sqrt(<xsl:apply-templates/>)</xsl:template>
  <xsl:template match="m:math//text()"><xsl:value-of select="normalize-space(.)"/></xsl:template>
  <xsl:template match="m:annotation | m:annotation-xml"/>

  <!-- What stands above the line keeps a sign of it: ten to the fifth is no 105, nor a figure with a note another one. -->
  <xsl:template match="sup">
    <xsl:variable name="text" select="normalize-space(.)"/>
    <xsl:variable name="next" select="substring(following-sibling::node()[1], 1, 1)"/>
    <xsl:choose>
      <xsl:when test="$text = '' or contains('|st|nd|rd|th|®|™|SM|TM|', concat('|', $text, '|'))"><xsl:value-of select="$text"/></xsl:when>
      <xsl:when test="contains($text, ' ') or translate($next, 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789', '') != $next">
        <xsl:value-of select="concat('^{', $text, '}')"/>
      </xsl:when>
      <xsl:otherwise><xsl:value-of select="concat('^', $text)"/></xsl:otherwise>
    </xsl:choose>
  </xsl:template>
  <xsl:template match="sub[number(substring(following-sibling::node()[1], 1, 1)) &gt;= 0]">
    <xsl:value-of select="concat('_{', normalize-space(.), '}')"/>
  </xsl:template>

  <xsl:template match="graphic | inline-graphic | media | object-id | alt-text | long-desc | permissions | related-object"/>
  <xsl:template match="ref-list"><xsl:if test="$references = 'keep'"><xsl:text>&#xFDD0;</xsl:text><xsl:apply-templates/><xsl:text>&#xFDD0;</xsl:text></xsl:if></xsl:template>
</xsl:stylesheet>
